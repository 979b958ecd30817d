//! The catalogue as a picture: producers, events and consumers from left to right, for a template that draws them. Pure.

use super::text::{count, per_second};
use crate::desk::{ConsumerRow, EventRow};

/// The picture, in its own units.
const WIDTH: u32 = 980;
const SERVICE_WIDTH: u32 = 170;
const EVENT_LEFT: u32 = 320;
const EVENT_WIDTH: u32 = 270;
const CONSUMER_LEFT: u32 = WIDTH - SERVICE_WIDTH;
/// How high a box of one line is, and how far one edge at a box is from the next.
const BOX_HEIGHT: u32 = 28;
const EDGE_HEIGHT: u32 = 18;
/// What is free between boxes.
const SPACE: u32 = 14;

/// What is drawn.
pub(super) struct Map {
    pub width: u32,
    pub height: u32,
    pub edges: Vec<Edge>,
    pub boxes: Vec<Node>,
    pub labels: Vec<Label>,
}

pub(super) struct Edge {
    /// Its way, as SVG has it.
    pub path: String,
    /// How it looks.
    pub kind: &'static str,
}

pub(super) struct Node {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    pub middle_x: u32,
    pub middle_y: u32,
    pub label: String,
    pub link: Option<String>,
}

/// What stands at an edge: a rate, or a lag.
pub(super) struct Label {
    pub x: u32,
    pub y: u32,
    pub text: String,
    pub kind: &'static str,
    pub link: Option<String>,
    /// What it is, for those who do not see where it stands.
    pub told: String,
}

/// A service at a side of the picture, and the events that it has edges to, by their rows.
struct Side {
    service: String,
    rows: Vec<usize>,
    top: u32,
}

impl Side {
    fn height(&self) -> u32 {
        let edges = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        BOX_HEIGHT.max(edges.saturating_mul(EDGE_HEIGHT) + SPACE / 2)
    }

    /// Where the middle of its rows is.
    fn middle(&self) -> u32 {
        let sum: u32 = self.rows.iter().map(|row| middle_of(*row)).sum();
        sum / u32::try_from(self.rows.len()).unwrap_or(1).max(1)
    }

    /// Where the edge to a row begins.
    fn edge(&self, row: usize) -> u32 {
        let nth = self.rows.iter().position(|one| *one == row).unwrap_or(0);
        let edges = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let first = self.top + (self.height() - edges.saturating_sub(1) * EDGE_HEIGHT) / 2;
        first + u32::try_from(nth).unwrap_or(0) * EDGE_HEIGHT
    }

    fn node(&self, x: u32) -> Node {
        Node::of(x, self.top, SERVICE_WIDTH, self.height(), self.service.clone(), None)
    }
}

impl Node {
    fn of(x: u32, y: u32, width: u32, height: u32, label: String, link: Option<String>) -> Self {
        let (middle_x, middle_y) = (x + width / 2, y + height / 2);
        Self { x, y, width, height, middle_x, middle_y, label, link }
    }
}

/// Where the middle of an event's row is.
fn middle_of(row: usize) -> u32 {
    let row = u32::try_from(row).unwrap_or(0);
    SPACE + row * (BOX_HEIGHT + SPACE) + BOX_HEIGHT / 2
}

/// The services with the rows that they have edges to, from top to bottom: each near its rows, and none above another.
fn side(edges: impl Iterator<Item = (String, usize)>) -> Vec<Side> {
    let mut sides: Vec<Side> = Vec::new();
    for (service, row) in edges {
        match sides.iter_mut().find(|side| side.service == service) {
            Some(side) => side.rows.push(row),
            None => sides.push(Side { service, rows: vec![row], top: 0 }),
        }
    }
    sides.sort_by_key(Side::middle);
    let mut free = SPACE;
    for side in &mut sides {
        side.top = free.max(side.middle().saturating_sub(side.height() / 2));
        free = side.top + side.height() + SPACE;
    }
    sides
}

impl Map {
    /// Of these events, from top to bottom.
    pub(super) fn of(rows: &[EventRow]) -> Self {
        let numbered = || rows.iter().enumerate();
        let producers = side(numbered().map(|(nth, row)| (row.producer.to_string(), nth)));
        let consumers = side(numbered().flat_map(|(nth, row)| {
            row.consumers.iter().map(move |consumer| (consumer.service.to_string(), nth))
        }));
        let mut map = Self {
            width: WIDTH,
            height: middle_of(rows.len()),
            edges: Vec::new(),
            boxes: Vec::new(),
            labels: Vec::new(),
        };
        for producer in &producers {
            map.boxes.push(producer.node(0));
        }
        for (nth, row) in numbered() {
            map.event(nth, row);
            for producer in producers.iter().filter(|side| side.rows.contains(&nth)) {
                map.edge(
                    (SERVICE_WIDTH, producer.edge(nth)),
                    (EVENT_LEFT, middle_of(nth)),
                    "plain",
                );
            }
            for consumer in &row.consumers {
                let side = consumers.iter().find(|side| consumer.service == *side.service);
                map.consumer(nth, consumer, side.map_or(0, |side| side.edge(nth)));
            }
        }
        for consumer in &consumers {
            map.boxes.push(consumer.node(CONSUMER_LEFT));
        }
        let below = map.boxes.iter().map(|node| node.y + node.height + SPACE).max();
        map.height = below.unwrap_or(0).max(map.height);
        map
    }

    fn event(&mut self, nth: usize, row: &EventRow) {
        let link = format!("/events/catalogue/{}", row.event);
        let top = middle_of(nth) - BOX_HEIGHT / 2;
        let name = row.event.to_string();
        self.boxes.push(Node::of(EVENT_LEFT, top, EVENT_WIDTH, BOX_HEIGHT, name, Some(link)));
        if let Some(rate) = row.per_second {
            let (text, y) = (per_second(rate), middle_of(nth) - 6);
            let told = format!("{} is published {text}", row.event);
            self.labels.push(Label { x: EVENT_LEFT - 8, y, text, kind: "plain", link: None, told });
        }
    }

    fn consumer(&mut self, nth: usize, consumer: &ConsumerRow, y: u32) {
        let kind = consumer.behind.map_or("plain", |behind| behind.level.as_str());
        self.edge((EVENT_LEFT + EVENT_WIDTH, middle_of(nth)), (CONSUMER_LEFT, y), kind);
        let Some(behind) = consumer.behind else { return };
        self.labels.push(Label {
            x: CONSUMER_LEFT - 8,
            y: y - 4,
            text: count(behind.lag),
            kind,
            link: Some(format!("/events/groups/{}", consumer.group)),
            told: format!("{} is {} behind", consumer.group, count(behind.lag)),
        });
    }

    fn edge(&mut self, (from_x, from_y): (u32, u32), (to_x, to_y): (u32, u32), kind: &'static str) {
        let middle = u32::midpoint(from_x, to_x);
        let path = format!("M{from_x},{from_y} C{middle},{from_y} {middle},{to_y} {to_x},{to_y}");
        self.edges.push(Edge { path, kind });
    }
}

#[cfg(test)]
mod tests {
    use event_bus::lag::Thresholds;

    use super::*;
    use crate::desk::Behind;

    fn row(event: &str, producer: &str, consumers: &[(&str, Option<u64>)]) -> EventRow {
        let consumer = |(service, lag): &(&str, Option<u64>)| {
            let behind = lag.map(|lag| Behind {
                lag,
                level: Thresholds::default().level(lag),
                above: None,
                lost: 0,
                unknown_partitions: 0,
            });
            ConsumerRow {
                service: service.parse().unwrap(),
                group: format!("corner-{service}-x").parse().unwrap(),
                in_scope: lag.is_some(),
                behind,
                retry_ms: Vec::new(),
                execution: String::new(),
                behind_dead_letter: String::new(),
                handler_timeout_ms: 0,
                reads: Vec::new(),
            }
        };
        EventRow {
            event: event.parse().unwrap(),
            description: String::new(),
            versions: Vec::new(),
            topic: "corner.order.placed".parse().unwrap(),
            producer: producer.parse().unwrap(),
            key: Vec::new(),
            per_second: Some(2.5),
            consumers: consumers.iter().map(consumer).collect(),
        }
    }

    fn map() -> Map {
        let all = [("billing", Some(3)), ("shipping", Some(1_001)), ("brand", None)];
        Map::of(&[
            row("OrderPlaced", "shop", &all),
            row("OrderCancelled", "shop", &all),
            row("PaymentCaptured", "billing", &[("shop", Some(20_000))]),
        ])
    }

    #[test]
    fn each_service_is_once_at_each_side_and_no_box_is_over_another() {
        let map = map();
        let at = |x| map.boxes.iter().filter(move |node| node.x == x).collect::<Vec<_>>();
        for (x, names) in [
            (0, vec!["shop", "billing"]),
            (EVENT_LEFT, vec!["OrderPlaced", "OrderCancelled", "PaymentCaptured"]),
            (CONSUMER_LEFT, vec!["billing", "shipping", "brand", "shop"]),
        ] {
            let nodes = at(x);
            assert_eq!(nodes.iter().map(|node| &*node.label).collect::<Vec<_>>(), names);
            assert!(nodes.is_sorted_by(|above, below| above.y + above.height < below.y));
            assert!(nodes.iter().all(|node| node.y + node.height < map.height));
        }
        assert_eq!(map.edges.len(), 3 + 7);
    }

    #[test]
    fn an_edge_has_the_colour_and_the_lag_of_its_group() {
        let map = map();
        let kinds = |kind| map.edges.iter().filter(|edge| edge.kind == kind).count();
        assert_eq!(["well", "warning", "critical", "plain"].map(kinds), [2, 2, 1, 5]);
        let linked: Vec<&Label> = map.labels.iter().filter(|label| label.link.is_some()).collect();
        assert_eq!(linked.len(), 5);
        assert!(
            linked.iter().any(|label| label.text == "20\u{202f}000" && label.kind == "critical")
        );
        let mut places: Vec<(u32, u32)> =
            map.labels.iter().map(|label| (label.x, label.y)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), map.labels.len(), "labels stand on one another");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let map = Map::of(&[]);
        assert!(map.boxes.is_empty() && map.edges.is_empty());
    }
}
