use super::{Code, Finding, Subject};
use crate::dead_letter::error_chain;
use crate::kafka::{ConfigError, KafkaConfig, Properties};

/// Properties that are accepted and do away with what somebody relies on, with the values that do.
const WEAKENING: [(&str, &[&str], &str); 4] = [
    (
        "enable.ssl.certificate.verification",
        &["false"],
        "whoever answers at the broker's address is taken for it",
    ),
    (
        "ssl.endpoint.identification.algorithm",
        &["none"],
        "any certificate of the authority is taken for the broker's",
    ),
    (
        "message.send.max.retries",
        &["0"],
        "a record is given up at the first broker that is not there",
    ),
    ("retries", &["0"], "a record is given up at the first broker that is not there"),
];

/// How Kafka is reached, as somebody gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The bootstrap servers.
    pub bootstrap: String,
    /// Further properties of librdkafka.
    pub properties: Properties,
}

impl Client {
    /// The configuration without the properties that are refused, which [`examine`](super::examine) tells of: so the rest
    /// can be looked at.
    ///
    /// # Errors
    /// When librdkafka does not take the rest together.
    pub fn config(&self) -> Result<KafkaConfig, ConfigError> {
        let accepted = self.properties.iter().filter(|property| refusal(*property).is_none());
        let accepted = accepted.map(|(name, value)| (name.clone(), value.clone()));
        KafkaConfig::new(&self.bootstrap, accepted)
    }

    fn has(&self, property: &str, values: &[&str]) -> bool {
        let value = self.properties.get(property).map(|value| value.to_ascii_lowercase());
        value.is_some_and(|value| values.contains(&value.as_str()))
    }

    /// Whether brokers may know who asks.
    pub(super) fn has_identity(&self) -> bool {
        self.has("security.protocol", &["ssl", "sasl_ssl", "sasl_plaintext"])
    }
}

/// Why a property is not accepted, if so.
fn refusal((name, value): (&String, &String)) -> Option<String> {
    let refused = KafkaConfig::new("localhost", [(name.clone(), value.clone())]).err()?;
    Some(error_chain(&refused))
}

pub(super) fn examine(client: &Client) -> Vec<Finding> {
    let refused = client.properties.iter().filter_map(|property| {
        let cure = "take it out of --kafka or [kafka]; the names are librdkafka's";
        let subject = Subject::Client(property.0.clone());
        Some(Finding::new(Code::ClientProperty, subject, refusal(property)?, cure))
    });
    let mut findings: Vec<Finding> = refused.collect();
    for (name, values, why) in WEAKENING {
        if client.has(name, values) {
            let what = format!("the client property `{name}` is {}: {why}", values.join(" or "));
            let subject = Subject::Client(name.to_owned());
            findings.push(Finding::new(Code::ClientProperty, subject, what, "leave it out"));
        }
    }
    findings.extend(unencrypted(client));
    findings
}

fn unencrypted(client: &Client) -> Option<Finding> {
    if client.has("security.protocol", &["ssl", "sasl_ssl"]) {
        return None;
    }
    let servers = client.bootstrap.split(',').map(str::trim).filter(|server| !server.is_empty());
    let remote: Vec<&str> = servers.filter(|server| !is_loopback(server)).collect();
    if remote.is_empty() {
        return None;
    }
    let what = format!("nothing on the way to {} is encrypted", remote.join(", "));
    let cure = "give the brokers a TLS listener, and --kafka security.protocol=ssl or sasl_ssl";
    Some(Finding::new(Code::Plaintext, Subject::Client("bootstrap".to_owned()), what, cure))
}

/// Whether a server, `[protocol://]host[:port]`, is this machine.
fn is_loopback(server: &str) -> bool {
    let server = server.rsplit_once("://").map_or(server, |(_, rest)| rest);
    let host = match server.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => server.rsplit_once(':').map_or(server, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bootstrap: &str, properties: &[(&str, &str)]) -> Vec<(Code, String)> {
        let properties = properties.iter().map(|(name, value)| (*name, *value));
        let properties =
            properties.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let client = Client { bootstrap: bootstrap.to_owned(), properties };
        let findings = examine(&client);
        findings.into_iter().map(|finding| (finding.code, finding.subject.to_string())).collect()
    }

    #[test]
    fn this_machine_needs_no_encryption_and_another_does() {
        for here in
            ["localhost:9092", "127.0.0.1:1,[::1]:2", "PLAINTEXT://127.0.0.2:9092", "LOCALHOST"]
        {
            assert_eq!(found(here, &[]), [], "{here}");
        }
        let plaintext = [(Code::Plaintext, "client bootstrap".to_owned())];
        for there in ["localhost:9092,kafka.example:9092", "[2001:db8::1]:9092", "192.0.2.1"] {
            assert_eq!(found(there, &[]), plaintext, "{there}");
            assert_eq!(found(there, &[("security.protocol", "SASL_PLAINTEXT")]), plaintext);
            assert_eq!(found(there, &[("security.protocol", "sasl_ssl")]), []);
        }
    }

    #[test]
    fn what_is_refused_is_told_and_left_out_and_the_rest_is_used() {
        let properties = [("acks", "1"), ("linger.ms", "7"), ("no.such", "1"), ("retries", "0")];
        let told = found("localhost", &properties);
        let about: Vec<&str> = told.iter().map(|(_, about)| about.as_str()).collect();
        assert_eq!(about, ["client acks", "client no.such", "client retries"]);
        assert!(told.iter().all(|(code, _)| *code == Code::ClientProperty), "{told:?}");
        let properties: Properties = properties
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        let client = Client { bootstrap: "localhost".to_owned(), properties };
        let used = [("linger.ms", "7"), ("retries", "0")];
        let used = used.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(client.config().unwrap(), KafkaConfig::new("localhost", used).unwrap());
    }
}
