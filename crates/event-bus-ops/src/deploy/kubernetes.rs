//! The services of a catalogue as workloads of Kubernetes, beside a Kafka that Strimzi runs.
//!
//! Each is a `StatefulSet`, for a replica that keeps its name is a static member of its groups: a restart moves no partition.

use event_bus::Catalogue;
use event_bus::names::ServiceName;

use super::Yaml;

/// Where health and metrics answer.
const HTTP_PORT: i32 = 9100;
/// What a service may take to give its partitions back and send what it committed, with time to spare.
const STOPS_WITHIN_SECONDS: i32 = 40;
/// Where Strimzi's secrets are in a container: the cluster's certificate, and the user's own.
const CA: &str = "/etc/kafka/ca";
const USER: &str = "/etc/kafka/user";

/// What the workloads go by.
#[derive(Clone, Debug)]
pub struct Options {
    /// The image, with its tag or digest.
    pub image: String,
    /// The name of the Kafka resource.
    pub cluster: String,
    /// The host of PostgreSQL, where each service has a database and a user of its own.
    pub postgres: String,
}

/// The workloads of all services, as a file.
#[must_use]
pub fn file(catalogue: &Catalogue, options: &Options) -> String {
    let mut text = "# Generated from the catalogue by `event-bus catalogue export kubernetes`: change the catalogue instead.\n".to_owned();
    for (service, _) in catalogue.services() {
        let named = Named { name: format!("{}-{service}", catalogue.namespace()), service };
        for resource in [named.stateful_set(options), named.headless(), named.budget()] {
            text.push_str("---\n");
            text.push_str(&resource.document());
        }
    }
    text
}

/// A service and what its resources are called, which is its Kafka user's name too.
struct Named<'a> {
    name: String,
    service: &'a ServiceName,
}

impl Named<'_> {
    fn labels(&self) -> Yaml {
        Yaml::map([
            ("app.kubernetes.io/name", self.name.as_str().into()),
            ("app.kubernetes.io/part-of", "event-bus".into()),
        ])
    }

    fn resource(&self, api: &str, kind: &str, spec: Yaml) -> Yaml {
        let metadata = Yaml::map([("name", self.name.as_str().into()), ("labels", self.labels())]);
        Yaml::map([
            ("apiVersion", api.into()),
            ("kind", kind.into()),
            ("metadata", metadata),
            ("spec", spec),
        ])
    }

    fn selector(&self) -> Yaml {
        Yaml::map([("app.kubernetes.io/name", self.name.as_str().into())])
    }

    /// A `StatefulSet` has to have one.
    fn headless(&self) -> Yaml {
        let port = Yaml::map([("name", "http".into()), ("port", HTTP_PORT.into())]);
        let spec = Yaml::map([
            ("clusterIP", "None".into()),
            ("selector", self.selector()),
            ("ports", Yaml::List(vec![port])),
        ]);
        self.resource("v1", "Service", spec)
    }

    /// One replica at a time may go, so that the others take its partitions over.
    fn budget(&self) -> Yaml {
        let selector = Yaml::map([("matchLabels", self.selector())]);
        let spec = Yaml::map([("maxUnavailable", 1.into()), ("selector", selector)]);
        self.resource("policy/v1", "PodDisruptionBudget", spec)
    }

    fn stateful_set(&self, options: &Options) -> Yaml {
        let pod = Yaml::map([
            ("terminationGracePeriodSeconds", STOPS_WITHIN_SECONDS.into()),
            ("automountServiceAccountToken", false.into()),
            ("securityContext", pod_security()),
            ("containers", Yaml::List(vec![self.container(options)])),
            ("volumes", self.volumes(options)),
        ]);
        let template =
            Yaml::map([("metadata", Yaml::map([("labels", self.labels())])), ("spec", pod)]);
        let spec = Yaml::map([
            ("serviceName", self.name.as_str().into()),
            ("replicas", 2.into()),
            ("podManagementPolicy", "Parallel".into()),
            ("selector", Yaml::map([("matchLabels", self.selector())])),
            ("template", template),
        ]);
        self.resource("apps/v1", "StatefulSet", spec)
    }

    fn container(&self, options: &Options) -> Yaml {
        let probe = |path: &str, failures: i32| {
            Yaml::map([
                ("httpGet", Yaml::map([("path", path.into()), ("port", "http".into())])),
                ("periodSeconds", 5.into()),
                ("timeoutSeconds", 3.into()),
                ("failureThreshold", failures.into()),
            ])
        };
        let port = Yaml::map([("name", "http".into()), ("containerPort", HTTP_PORT.into())]);
        Yaml::map([
            ("name", "service".into()),
            ("image", options.image.as_str().into()),
            ("args", Yaml::list(self.arguments(options))),
            ("env", self.environment()),
            ("ports", Yaml::List(vec![port])),
            ("livenessProbe", probe("/livez", 6)),
            ("readinessProbe", probe("/readyz", 2)),
            ("resources", resources()),
            ("securityContext", container_security()),
            ("volumeMounts", Yaml::List(vec![mount("kafka-ca", CA), mount("kafka-user", USER)])),
        ])
    }

    fn arguments(&self, options: &Options) -> Vec<String> {
        let (cluster, postgres, service) = (&options.cluster, &options.postgres, self.service);
        let store = format!("postgres://{}@{postgres}/{service}", self.name);
        let http = format!("0.0.0.0:{HTTP_PORT}");
        let bootstrap = format!("{cluster}-kafka-bootstrap:9093");
        let mut arguments = vec!["service".to_owned(), "run".to_owned(), service.to_string()];
        let mut option =
            |name: &str, value: &str| arguments.extend([name.to_owned(), value.to_owned()]);
        // Kubernetes puts the value in.
        option("--instance", "$(POD_NAME)");
        option("--store", &store);
        option("--http", &http);
        option("--bootstrap", &bootstrap);
        option("--kafka", "security.protocol=ssl");
        option("--kafka", &format!("ssl.ca.location={CA}/ca.crt"));
        option("--kafka", &format!("ssl.certificate.location={USER}/user.crt"));
        option("--kafka", &format!("ssl.key.location={USER}/user.key"));
        arguments
    }

    fn environment(&self) -> Yaml {
        let field = Yaml::map([("fieldRef", Yaml::map([("fieldPath", "metadata.name".into())]))]);
        let secret =
            Yaml::map([("name", "event-bus-postgres".into()), ("key", self.name.as_str().into())]);
        let password = Yaml::map([("secretKeyRef", secret)]);
        Yaml::List(vec![
            Yaml::map([("name", "POD_NAME".into()), ("valueFrom", field)]),
            Yaml::map([("name", "PGPASSWORD".into()), ("valueFrom", password)]),
        ])
    }

    fn volumes(&self, options: &Options) -> Yaml {
        let volume = |name: &str, secret: String| {
            Yaml::map([
                ("name", name.into()),
                ("secret", Yaml::map([("secretName", secret.into())])),
            ])
        };
        Yaml::List(vec![
            volume("kafka-ca", format!("{}-cluster-ca-cert", options.cluster)),
            volume("kafka-user", self.name.clone()),
        ])
    }
}

fn mount(name: &str, path: &str) -> Yaml {
    Yaml::map([("name", name.into()), ("mountPath", path.into()), ("readOnly", true.into())])
}

fn resources() -> Yaml {
    let requests = Yaml::map([("cpu", "100m".into()), ("memory", "64Mi".into())]);
    Yaml::map([("requests", requests), ("limits", Yaml::map([("memory", "512Mi".into())]))])
}

fn pod_security() -> Yaml {
    Yaml::map([
        ("runAsNonRoot", true.into()),
        ("seccompProfile", Yaml::map([("type", "RuntimeDefault".into())])),
    ])
}

fn container_security() -> Yaml {
    Yaml::map([
        ("allowPrivilegeEscalation", false.into()),
        ("readOnlyRootFilesystem", true.into()),
        ("capabilities", Yaml::map([("drop", Yaml::list(["ALL"]))])),
    ])
}
