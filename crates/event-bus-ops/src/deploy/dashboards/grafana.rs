//! Grafana's JSON.

use serde_json::{Value, json};

use super::{Dashboard, Look, Panel, Query, Variable};

/// Grafana's columns.
const COLUMNS: u8 = 24;
const LETTERS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

impl Dashboard {
    /// The dashboard for Grafana.
    ///
    /// # Panics
    /// Where a panel has more queries than [`LETTERS`] name, which a test finds.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut variables = vec![data_source()];
        variables.extend(self.variables.iter().map(Variable::json));
        json!({
            "uid": format!("event-bus-{}", self.name),
            "title": format!("Event Bus / {}", self.title),
            "description": self.description,
            "tags": ["event-bus"],
            "schemaVersion": 39,
            "version": 1,
            "editable": false,
            "graphTooltip": 1,
            "time": { "from": "now-3h", "to": "now" },
            "timezone": "",
            "refresh": "30s",
            "annotations": { "list": [] },
            "links": [{
                "type": "dashboards", "title": "Event Bus", "tags": ["event-bus"], "asDropdown": true,
                "includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external link", "url": "", "tooltip": "",
            }],
            "templating": { "list": variables },
            "panels": self.placed(),
        })
    }

    /// The panels, each behind the one before, in rows as high as their highest.
    fn placed(&self) -> Vec<Value> {
        let (mut x, mut y, mut row_height) = (0, 0_u32, 0);
        let place = |(position, panel): (usize, &Panel)| {
            if x + panel.width > COLUMNS {
                (x, y) = (0, y + row_height);
                row_height = 0;
            }
            let height = panel.look.height();
            let at = json!({ "x": x, "y": y, "w": panel.width, "h": height });
            x += panel.width;
            row_height = row_height.max(height);
            panel.json(position + 1, &at)
        };
        self.panels.iter().enumerate().map(place).collect()
    }
}

fn data_source() -> Value {
    json!({ "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0 })
}

fn prometheus() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

impl Variable {
    fn json(&self) -> Value {
        let query = format!("label_values({}, {})", self.series, self.label);
        json!({
            "name": self.name,
            "label": self.title,
            "type": "query",
            "datasource": prometheus(),
            "query": { "query": query, "refId": self.name },
            "definition": query,
            "refresh": 2,
            "sort": 1,
            "multi": true,
            "includeAll": true,
            "allValue": ".+",
            "current": { "text": "All", "value": "$__all", "selected": true },
            "hide": 0,
        })
    }
}

impl Look {
    fn grafana(self) -> &'static str {
        match self {
            Self::Number => "stat",
            Self::Lines => "timeseries",
            Self::Table => "table",
        }
    }

    fn height(self) -> u32 {
        match self {
            Self::Number => 4,
            Self::Lines | Self::Table => 8,
        }
    }

    fn options(self) -> Value {
        match self {
            Self::Number => json!({
                "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
                "colorMode": "value", "graphMode": "area", "textMode": "auto", "justifyMode": "auto", "orientation": "auto",
            }),
            Self::Lines => json!({
                "legend": { "displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"], "showLegend": true },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Self::Table => json!({ "showHeader": true, "cellHeight": "sm" }),
        }
    }
}

impl Panel {
    fn json(&self, id: usize, at: &Value) -> Value {
        let queries = self.queries.iter().zip(LETTERS);
        assert!(self.queries.len() <= LETTERS.len(), "{} has too many queries", self.title);
        json!({
            "id": id,
            "type": self.look.grafana(),
            "title": self.title,
            "description": self.description,
            "datasource": prometheus(),
            "gridPos": at,
            "fieldConfig": { "defaults": self.defaults(), "overrides": [] },
            "options": self.look.options(),
            "targets": queries.map(|(query, letter)| query.json(letter, self.look)).collect::<Vec<_>>(),
        })
    }

    fn defaults(&self) -> Value {
        let mut steps = vec![json!({ "color": "green", "value": null })];
        if let Some((yellow, red)) = self.limits {
            steps.push(json!({ "color": "yellow", "value": yellow }));
            steps.push(json!({ "color": "red", "value": red }));
        }
        let style = if self.limits.is_some() { "dashed" } else { "off" };
        let color = if self.look == Look::Lines { "palette-classic" } else { "thresholds" };
        json!({
            "unit": self.unit,
            "min": 0,
            "color": { "mode": color },
            "thresholds": { "mode": "absolute", "steps": steps },
            "custom": match self.look {
                Look::Lines => json!({ "thresholdsStyle": { "mode": style }, "fillOpacity": 8, "showPoints": "never" }),
                Look::Number | Look::Table => json!({}),
            },
        })
    }
}

impl Query {
    fn json(&self, letter: &str, look: Look) -> Value {
        let is_instant = look == Look::Table;
        json!({
            "refId": letter,
            "datasource": prometheus(),
            "expr": self.expr,
            "legendFormat": self.legend,
            "instant": is_instant,
            "range": !is_instant,
            "format": if is_instant { "table" } else { "time_series" },
        })
    }
}
