//! The contract that benchmarks publish and consume under.

use std::sync::Arc;

use event_bus::kafka::admin::Admin;
use event_bus::names::Namespace;
use event_bus::{Catalogue, KafkaConfig, topics};
use event_bus_tests::defaults::Defaults;

/// `OrderPlaced` from `retailer` to `payment`.
pub struct Contract {
    pub schema: &'static str,
    /// The ordering key's JSON pointers, as TOML.
    pub key: &'static str,
}

impl Contract {
    /// Its catalogue in a namespace of its own, whose topics exist. `consumption` is how `payment` consumes, as TOML
    /// lines.
    pub async fn create(&self, kafka: &KafkaConfig, consumption: &str) -> Arc<Catalogue> {
        let catalogue =
            self.catalogue(&format!("bench-{:08x}", rand::random::<u32>()), consumption);
        let admin = Admin::connect(kafka).expect("an admin client can be made");
        let cluster = admin.cluster().await.expect("Kafka answers");
        let plan = topics::plan(&catalogue, &cluster, topics::Options::default());
        let report = |applied: topics::Applied| applied.outcome.expect("Kafka takes the step");
        topics::apply(&admin, &plan, report).await.expect("Kafka answers");
        Arc::new(catalogue)
    }

    /// Its catalogue in a namespace.
    pub fn catalogue(&self, namespace: &str, consumption: &str) -> Catalogue {
        let toml = self.toml(consumption);
        Catalogue::parse("bench.toml", &toml, |_| Ok(self.schema.to_owned()))
            .expect("the benchmark's catalogue is right")
            .with_namespace(Namespace::new(namespace).expect("a valid namespace"))
    }

    fn toml(&self, consumption: &str) -> String {
        let key = self.key;
        let defaults = Defaults {
            partitions: 6,
            retry: &["200ms", "200ms", "200ms"],
            handler_timeout: "30s",
            ..Defaults::QUICK
        };
        format!(
            r#"
            namespace = "bench"
            [services]
            retailer = {{ title = "Retailer" }}
            payment = {{ title = "Payment" }}
            {defaults}
            [events.OrderPlaced]
            topic = "order.placed"
            description = "An order was placed."
            producer = "retailer"
            key = {key}
            versions = ["1.0"]
            [events.OrderPlaced.consumers.payment]
            reads = ["/order_id"]
            {consumption}
            "#
        )
    }
}
