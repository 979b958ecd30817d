//! Who may log in by a password. Passwords themselves are not kept: what is kept only checks them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use super::scram::{Credential, Mechanism};

/// What a name may be; it is a part of a principal.
const MAX_NAME_BYTES: usize = 256;

/// Users and what checks their passwords.
#[derive(Clone)]
pub struct Users {
    by_name: BTreeMap<String, [Credential; 2]>,
    /// In the place of those of unknown users, so that these fail like a wrong password.
    nobody: [Credential; 2],
}

/// Why a file of users can't be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It can't be read.
    #[error("the users in {} can't be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Others on the machine can read it.
    #[error("the users in {} can be read by everybody: `chmod 600` it", .0.display())]
    Open(PathBuf),
    /// A line is no user. What stands there is not told, for it may be a password.
    #[error("line {line} of the users in {} is not NAME:PASSWORD, each with something in it", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// A name stands there twice.
    #[error("{user:?} stands twice among the users in {}", .path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name.
        user: String,
    },
    /// There is nobody.
    #[error("there are no users in {}: write NAME:PASSWORD, a line for each", .0.display())]
    None(PathBuf),
    /// No randomness.
    #[error("the system gives no random bytes for the users' salts")]
    Random(#[from] openssl::error::ErrorStack),
}

impl Users {
    /// Reads a file with `NAME:PASSWORD` in each line. Lines that are empty or begin with `#` are passed over.
    ///
    /// # Errors
    /// When it can't be read, everybody else can read it, or it is not as it has to be.
    pub fn read(path: &Path) -> Result<Self, UsersError> {
        let at = || path.to_owned();
        let unreadable = |source| UsersError::Unreadable { path: at(), source };
        if is_open(path).map_err(unreadable)? {
            return Err(UsersError::Open(at()));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let mut by_name = BTreeMap::new();
        for (line, user) in (1..).zip(text.lines()) {
            if user.trim().is_empty() || user.starts_with('#') {
                continue;
            }
            let Some((name, password)) = user
                .split_once(':')
                .filter(|(name, password)| is_name(name) && !password.is_empty())
            else {
                return Err(UsersError::Line { path: at(), line });
            };
            if by_name.insert(name.to_owned(), credentials(password.as_bytes())?).is_some() {
                return Err(UsersError::Twice { path: at(), user: name.to_owned() });
            }
        }
        if by_name.is_empty() {
            return Err(UsersError::None(at()));
        }
        let mut nothing = [0; 32];
        openssl::rand::rand_bytes(&mut nothing)?;
        Ok(Self { by_name, nobody: credentials(&nothing)? })
    }

    /// What checks a user's password; what no password passes for one that is not known.
    pub(super) fn credential(&self, name: &str, mechanism: Mechanism) -> &Credential {
        let [sha256, sha512] = self.by_name.get(name).unwrap_or(&self.nobody);
        match mechanism {
            Mechanism::Sha256 => sha256,
            Mechanism::Sha512 => sha512,
        }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

fn credentials(password: &[u8]) -> Result<[Credential; 2], openssl::error::ErrorStack> {
    Ok([
        Credential::new(Mechanism::Sha256, password)?,
        Credential::new(Mechanism::Sha512, password)?,
    ])
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace();
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name != "*" && name.chars().all(is_plain)
}

/// Whether those who are not of its group can read a file.
fn is_open(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o007 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn read(text: &str, mode: u32) -> Result<Users, UsersError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        Users::read(file.path())
    }

    #[test]
    fn users_are_known_and_their_passwords_are_not_told() {
        let users = read("# ours\nalice:s3cret:with colon\n\nbob:x\n", 0o600).unwrap();
        assert_eq!(format!("{users:?}"), r#"{"alice", "bob"}"#);
    }

    #[test]
    fn a_file_that_is_not_as_it_has_to_be_is_refused_without_its_secrets() {
        assert!(matches!(read("alice:x", 0o644), Err(UsersError::Open(_))));
        assert!(matches!(read("", 0o600), Err(UsersError::None(_))));
        assert!(matches!(read("a:x\na:y", 0o600), Err(UsersError::Twice { .. })));
        for wrong in ["s3cret", ":s3cret", "alice:", "al ice:s3cret"] {
            let error = read(&format!("bob:x\n{wrong}"), 0o600).unwrap_err();
            assert!(matches!(error, UsersError::Line { line: 2, .. }), "{wrong}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
