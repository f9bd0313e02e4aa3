//! The OpenAPI document, made of the table of routes and of the shapes below. It decides nothing: tests hold the shapes
//! to what the code reads and writes.

use axum::Json;
use serde_json::{Map, Value, json};

use usher_protocol::limits::{
    BORROW_MS_MAX, HOLDER_BYTES_MAX, SEATS_PER_CHECKOUT_MAX, TEXT_BYTES_MAX,
};

use super::{
    failure::CODES,
    guard::Need,
    routes::{ROUTES, Route},
};

/// `GET /api/v1/openapi.json`
pub(super) async fn document() -> Json<Value> {
    Json(made())
}

fn made() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route);
    }
    let mut schemas = Map::new();
    for (name, fields) in SHAPES {
        schemas.insert(name.to_owned(), shape(fields));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "usherd",
            "description": "Floating license seats: figures, lists and lease verbs (docs/http.md).",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = route
        .query
        .iter()
        .map(|(name, of)| json!({"name": name, "in": "query", "schema": kind(of)}))
        .collect();
    if route.path.contains("{lease}") {
        parameters.push(
            json!({"name": "lease", "in": "path", "required": true, "schema": kind("lease")}),
        );
    }
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            route.status.to_string(): {"description": route.summary, "content": content(route.answer)},
            "default": {"description": "No, and why", "content": content("Failure")},
        },
    });
    if let Some(body) = route.body {
        operation["requestBody"] = json!({"required": true, "content": content(body)});
    }
    if route.need != Need::Nothing {
        operation["security"] = json!([{"token": []}]);
    }
    operation
}

fn content(answer: &str) -> Value {
    if answer.contains('/') {
        return json!({answer: {"schema": {"type": "string"}}});
    }
    json!({"application/json": {"schema": kind(answer)}})
}

fn shape(fields: &[(&str, &str)]) -> Value {
    let name = |field: &str| field.trim_end_matches('?').to_owned();
    let required: Vec<_> = fields
        .iter()
        .filter(|(field, _)| !field.ends_with('?'))
        .map(|(field, _)| *field)
        .collect();
    let properties: Map<String, Value> = fields
        .iter()
        .map(|(field, of)| (name(field), kind(of)))
        .collect();
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

/// `[T]` is an array, `T|null` may be null, a capital begins the name of a shape.
fn kind(word: &str) -> Value {
    if let Some(word) = word.strip_suffix("|null") {
        return json!({"anyOf": [kind(word), {"type": "null"}]});
    }
    if let Some(word) = word.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        return json!({"type": "array", "items": kind(word)});
    }
    match word {
        "time" => json!({"type": "string", "format": "date-time"}),
        "code" => json!({"type": "string", "enum": CODES}),
        "environment" => json!({"type": "string", "enum": ["live", "test"]}),
        "scope" => json!({"type": "string", "enum": ["lease", "read", "operate", "admin"]}),
        "hex" => json!({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        "lease" => json!({"type": "string", "pattern": "^[0-9a-f]{1,16}-[0-9a-f]{1,16}$"}),
        "version" => json!({"type": "string", "pattern": r"^\d{1,9}(\.\d{1,9}){0,3}$"}),
        "base64" => json!({"type": "string", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}),
        // At most so many bytes, which a schema cannot say.
        "word" => words(HOLDER_BYTES_MAX),
        "text" => words(TEXT_BYTES_MAX),
        "seats" => whole(1, u64::from(SEATS_PER_CHECKOUT_MAX)),
        "length" => whole(1, BORROW_MS_MAX.0),
        "byte" => whole(0, u8::MAX.into()),
        "process" => whole(0, u32::MAX.into()),
        // What JSON readers keep exactly.
        "integer" => whole(0, (1 << 53) - 1),
        "signed" => json!({"type": "integer"}),
        word if word.starts_with(char::is_uppercase) => {
            json!({"$ref": format!("#/components/schemas/{word}")})
        }
        word => json!({"type": word}),
    }
}

fn whole(min: u64, max: u64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

fn words(bytes_max: usize) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": bytes_max, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$"})
}

/// Every shape, and its fields: a `?` ends the name of one that may be left out.
#[rustfmt::skip] // One shape, one paragraph.
const SHAPES: [(&str, &[(&str, &str)]); 22] = [
    ("Failure", &[("error", "code"), ("detail", "string"), ("refusal?", "Refusal")]),
    ("Refusal", &[
        ("refusal", "string"), ("refusal-number", "integer"), ("detail", "string"), ("rule", "Rule|null"),
        ("holders", "[Holder]"), ("holders-more", "integer"), ("earliest-free-ms", "integer|null"),
        ("earliest-because", "string|null"), ("retry-after-ms", "integer|null"), ("support", "string|null"),
    ]),
    ("Rule", &[("text", "string"), ("file", "string"), ("line", "integer")]),
    ("Holder", &[
        ("user", "string"), ("host", "string"), ("display", "string|null"), ("process", "integer"),
        ("seats", "integer"), ("since", "time"), ("free-in-ms", "integer"), ("borrowed", "boolean"),
    ]),
    ("Status", &[
        ("version", "string"), ("name", "string"), ("site", "string"), ("listen", "[string]"), ("advert", "string"),
        ("started", "time"), ("epoch", "integer"), ("life", "string"), ("head", "integer"), ("connections", "integer"),
        ("leases", "integer"), ("license-time", "time"), ("pools", "[Pool]"), ("reservations", "[Reservation]"),
        ("policy", "string"), ("log", "Log"), ("stopped", "[string]"), ("degraded", "[string]"),
    ]),
    ("Log", &[("number", "integer"), ("hash", "string")]),
    ("Pool", &[
        ("feature", "string"), ("license", "string"), ("environment", "environment"), ("version", "string|null"),
        ("seats", "integer|null"), ("out", "integer"), ("free", "integer|null"), ("reserved-idle", "integer"),
        ("overdraft", "integer"), ("overdraft-used", "integer"), ("borrowed", "integer"), ("written-off", "integer"),
        ("offered", "integer"), ("lingering", "integer"), ("queued", "integer"), ("suspended", "string|null"),
        ("held", "integer"), ("overcommitted", "boolean"), ("expires", "time|null"),
    ]),
    ("Reservation", &[
        ("feature", "string"), ("who", "string"), ("seats", "integer"), ("used", "integer"), ("file", "string"),
        ("line", "integer"),
    ]),
    ("Lease", &[
        ("id", "string"), ("feature", "string"), ("license", "string"), ("environment", "environment"),
        ("seats", "integer"), ("client", "string"), ("user", "string"), ("host", "string"), ("display", "string|null"),
        ("process", "integer"), ("since", "time"), ("free-in-ms", "integer"), ("note", "string|null"),
        ("borrowed-until", "time|null"), ("sharing", "integer"),
    ]),
    ("Waiter", &[
        ("feature", "string"), ("position", "integer"), ("waiting", "integer"), ("expected-ms", "integer|null"),
        ("seats", "integer"), ("user", "string"), ("host", "string"), ("priority", "signed"), ("waited-ms", "integer"),
        ("offered-ms", "integer|null"), ("cut-off-ms", "integer|null"),
    ]),
    ("Denial", &[
        ("at", "time"), ("feature", "string"), ("user", "string"), ("host", "string"), ("refusal", "string"),
        ("refusal-number", "integer"), ("meaning", "string"), ("count", "integer"),
    ]),
    ("License", &[
        ("id", "string"), ("serial", "integer"), ("vendor", "string"), ("root", "string"), ("customer", "string"),
        ("environment", "environment"), ("issued", "time"), ("features", "[Feature]"), ("idle-because", "string|null"),
    ]),
    ("Feature", &[
        ("feature", "string"), ("version", "string|null"), ("seats", "integer|null"), ("starts", "time"),
        ("expires", "time|null"),
    ]),
    ("Evict", &[("reason", "text"), ("cool-down-ms?", "integer|null")]),
    ("Done", &[("done", "boolean")]),
    ("Key", &[
        ("id", "string"), ("name", "string"), ("scope", "scope"), ("created", "time"), ("expires", "time"),
        ("client", "string|null"), ("seats", "[KeySeats]"),
    ]),
    ("KeySeats", &[("feature", "string"), ("seats", "integer"), ("out", "integer")]),
    ("Obtain", &[
        ("feature", "string"), ("nonce", "hex"), ("link", "hex"), ("seats?", "seats"), ("version?", "version|null"),
        ("length-ms?", "length|null"), ("environment?", "environment"), ("user?", "word|null"),
        ("host?", "word|null"), ("process?", "process"),
    ]),
    ("Step", &[
        ("nonce", "hex"), ("previous", "hex"), ("next", "hex"), ("length-ms?", "length|null"),
        ("document?", "Document|null"),
    ]),
    ("Document", &[("body", "base64"), ("signature", "base64")]),
    ("Granted", &[
        ("lease", "string"), ("feature", "string"), ("seats", "integer"), ("environment", "environment"),
        ("license", "string"), ("length-ms", "integer"), ("renew-after-ms", "integer"), ("not-after", "time"),
        ("seats-out", "integer"), ("seats-total", "integer|null"), ("document", "Document"),
    ]),
    ("Standing", &[
        ("lease", "string"), ("feature", "string"), ("seats", "integer"), ("environment", "environment"),
        ("user", "string"), ("host", "string"), ("since", "time"), ("free-in-ms", "integer"), ("note", "string|null"),
    ]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_in_the_document_has_its_shape() {
        let document = made();
        let text = document.to_string();
        let names: BTreeSet<&str> = text
            .split("#/components/schemas/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let shapes: BTreeSet<&str> = SHAPES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, shapes);
    }

    #[test]
    fn every_route_is_in_the_document_with_its_verb() {
        let document = made();
        for route in &ROUTES {
            let operation = &document["paths"][route.path][route.method];
            assert!(operation.is_object(), "{}", route.path);
            let is_open = operation["security"].is_null();
            assert_eq!(is_open, route.need == Need::Nothing, "{}", route.path);
        }
    }
}
