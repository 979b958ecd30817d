/// Where a keyword of JSON Schema has schemas of its own. Elsewhere, as in `enum`, there are values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Nowhere.
    None,
    /// Its value is a schema.
    One,
    /// Its value is a list of schemas.
    List,
    /// Its value has a schema under each name.
    Map,
}

impl Places {
    /// By the keyword's name, in dialect 2020-12.
    #[must_use]
    pub fn of(keyword: &str) -> Places {
        match keyword {
            "items"
            | "contains"
            | "additionalProperties"
            | "propertyNames"
            | "not"
            | "if"
            | "then"
            | "else"
            | "unevaluatedItems"
            | "unevaluatedProperties"
            | "contentSchema" => Places::One,
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => Places::List,
            "properties" | "patternProperties" | "dependentSchemas" | "$defs" => Places::Map,
            _ => Places::None,
        }
    }
}
