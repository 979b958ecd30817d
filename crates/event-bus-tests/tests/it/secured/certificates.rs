//! Certificates of a test's own authority.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use tempfile::TempDir;

/// An authority, and the folder of what it signed: `NAME.pem` and `NAME.key`.
pub struct Authority {
    folder: TempDir,
    certificate: X509,
    key: PKey<Private>,
}

fn key() -> PKey<Private> {
    let key = Rsa::generate(2_048).and_then(PKey::from_rsa);
    key.expect("OpenSSL makes keys")
}

impl Authority {
    /// A new one, whose certificate is `ca.pem`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let key = key();
        let certificate = certified("authority", &key, None);
        let authority = Self { folder, certificate, key };
        authority.write("ca", &authority.certificate, &authority.key);
        authority
    }

    /// A certificate of that name, good on this machine.
    pub fn sign(&self, name: &str) {
        let key = key();
        let certificate = certified(name, &key, Some((&self.certificate, &self.key)));
        self.write(name, &certificate, &key);
    }

    /// A file of what it signed, such as `ca.pem`.
    pub fn file(&self, name: &str) -> String {
        self.path(name).to_str().expect("its name is text").to_owned()
    }

    /// Where a list is that says the certificate of that name is not good any more.
    pub fn revoked(&self, name: &str) -> String {
        let config = self.path("ca.cnf");
        let text = "[ca]\ndefault_ca=here\n[here]\ndatabase=index.txt\ncertificate=ca.pem\nprivate_key=ca.key\n\
                    default_md=sha256\ndefault_crl_days=1\n";
        fs::write(&config, text).expect("the file can be written");
        fs::write(self.path("index.txt"), "").expect("the file can be written");
        let certificate = format!("{name}.pem");
        openssl(self.folder.path(), &["ca", "-config", "ca.cnf", "-revoke", &certificate]);
        openssl(self.folder.path(), &["ca", "-config", "ca.cnf", "-gencrl", "-out", "revoked.pem"]);
        self.file("revoked.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, certificate: &X509, key: &PKey<Private>) {
        let certificate = certificate.to_pem().expect("it can be written as PEM");
        let key = key.private_key_to_pem_pkcs8().expect("it can be written as PEM");
        fs::write(self.path(&format!("{name}.pem")), &certificate).expect("it can be written");
        let both = [key.as_slice(), certificate.as_slice()].concat();
        for (file, bytes) in [(format!("{name}.key"), key), (format!("{name}.both.pem"), both)] {
            let path = self.path(&file);
            fs::write(&path, bytes).expect("the file can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        }
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let done = Command::new("openssl").current_dir(folder).args(arguments).output();
    let done = done.expect("the openssl program can be run");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn certified(name: &str, key: &PKey<Private>, by: Option<(&X509, &PKey<Private>)>) -> X509 {
    let make = || {
        let mut subject = X509NameBuilder::new()?;
        subject.append_entry_by_text("CN", name)?;
        let subject = subject.build();
        let mut certificate = X509::builder()?;
        certificate.set_version(2)?;
        let serial = BigNum::from_u32(rand::random::<u32>() >> 1)?;
        let serial = Asn1Integer::from_bn(&serial)?;
        certificate.set_serial_number(&serial)?;
        certificate.set_subject_name(&subject)?;
        certificate.set_issuer_name(by.map_or(&*subject, |(issuer, _)| issuer.subject_name()))?;
        certificate.set_pubkey(key)?;
        let (begin, end) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(1)?);
        certificate.set_not_before(&begin)?;
        certificate.set_not_after(&end)?;
        if by.is_none() {
            certificate.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        } else {
            let context = certificate.x509v3_context(by.map(|(issuer, _)| &**issuer), None);
            let here = SubjectAlternativeName::new().ip("127.0.0.1").build(&context)?;
            certificate.append_extension(here)?;
        }
        certificate.sign(by.map_or(key, |(_, key)| key), MessageDigest::sha256())?;
        Ok::<_, openssl::error::ErrorStack>(certificate.build())
    };
    make().expect("OpenSSL makes certificates")
}
