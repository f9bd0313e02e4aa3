//! The OpenAPI document, made of the table of routes and of the shapes below. It decides nothing: tests hold the shapes
//! to what the code reads and writes.

use axum::Json;
use serde_json::{Map, Value, json};

use usher_protocol::{
    limits::{BORROW_MS_MAX, HOLDER_BYTES_MAX, SEATS_PER_CHECKOUT_MAX},
    time::DurationMs,
};

use super::{
    api::COUNT_MAX,
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
    for name in ["lease", "token"] {
        if route.path.contains(&format!("{{{name}}}")) {
            let of = kind(name);
            parameters.push(json!({"name": name, "in": "path", "required": true, "schema": of}));
        }
    }
    let yes = json!({"description": route.summary, "content": content(route.answer)});
    let mut responses = Map::from_iter([(route.status.to_string(), yes)]);
    for (status, meaning) in NOES.iter().filter(|(status, _)| may_say(route, *status)) {
        let no = json!({"description": meaning, "content": content("Failure")});
        responses.insert(status.to_string(), no);
    }
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = route.body {
        operation["requestBody"] = json!({"required": true, "content": content(body)});
    }
    if route.need != Need::Nothing {
        operation["security"] = json!([{"token": []}]);
    }
    operation
}

/// Which of [`NOES`] a route may answer with.
fn may_say(route: &Route, status: u16) -> bool {
    let is_change = route.method != "get";
    let is_of_a_lease = route.path.contains("{lease}");
    match status {
        400 => is_change || is_of_a_lease || !route.query.is_empty(),
        401 | 429 => route.need != Need::Nothing,
        403 => !matches!(route.need, Need::Nothing | Need::AnyToken),
        404 => is_change || is_of_a_lease,
        409 => is_change,
        410 => is_of_a_lease,
        413 => route.body.is_some(),
        _ => true,
    }
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
        "token" => json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}),
        "version" => json!({"type": "string", "pattern": r"^\d{1,9}(\.\d{1,9}){0,3}$"}),
        // Bits beyond the last byte are zero: one value, one text.
        "base64" => json!({"type": "string", "minLength": 4, "pattern": BASE64_PATTERN}),
        "signature" => json!({"type": "string", "pattern": "^[A-Za-z0-9+/]{85}[AQgw]==$"}),
        "fingerprint" => json!({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
        // At most so many bytes, which a schema cannot say.
        "word" => words(HOLDER_BYTES_MAX),
        "reason" => words(REASON_BYTES_MAX),
        "page" => whole(1, COUNT_MAX as u64),
        "pause" => whole(0, COOL_DOWN_MS_MAX.0),
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

/// What a "no" means by its status; its body says more.
const NOES: [(u16, &str); 10] = [
    (400, "The request makes no sense"),
    (
        401,
        "No token, or none that is known, or one that has ended",
    ),
    (403, "The token may not do this, or a rule says no"),
    (404, "There is no such thing, or it is not this token's"),
    (409, "No seat, the token's bound, or a lease that is not so"),
    (410, "The lease is over"),
    (413, "The body is too long"),
    (429, "Too many bad tokens came from this address"),
    (500, "A fault of usherd"),
    (
        503,
        "Busy, stopping, holding or in trouble; Retry-After says when to come back",
    ),
];

const BASE64_PATTERN: &str =
    "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// As the engine bounds them; a test asks it.
const REASON_BYTES_MAX: usize = 256;
const COOL_DOWN_MS_MAX: DurationMs = DurationMs::hours(24);

/// Every shape, and its fields: a `?` ends the name of one that may be left out.
#[rustfmt::skip] // One shape, one paragraph.
const SHAPES: [(&str, &[(&str, &str)]); 30] = [
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
    ("Evict", &[("reason", "reason"), ("cool-down-ms?", "pause|null")]),
    ("Suspend", &[("what", "string"), ("reason", "reason")]),
    ("Resume", &[("what", "string")]),
    ("Suspension", &[("what", "string")]),
    ("Install", &[("text", "string"), ("root?", "fingerprint|null")]),
    ("Reloaded", &[
        ("file", "string|null"), ("restart-needed-by", "[string]"), ("policy-file", "string"), ("policy", "string"),
    ]),
    ("Token", &[
        ("id", "string"), ("name", "string"), ("scope", "scope"), ("created", "time"), ("expires", "time"),
        ("client", "string|null"), ("seats", "[Bound]"),
    ]),
    ("Bound", &[("feature", "string"), ("seats", "integer")]),
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
    ("Back", &[("nonce", "hex"), ("previous", "hex"), ("next", "hex")]),
    ("Document", &[("body", "base64"), ("signature", "signature")]),
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
    fn base64_is_what_is_read_as_such() {
        let pattern = regex_lite::Regex::new(BASE64_PATTERN).unwrap();
        for text in [
            "AAAA", "AA==", "AQ==", "AB==", "AAA=", "AAB=", "AAE=", "AAA", "A===", "AAAAA", "+/+/",
        ] {
            let is_read = data_encoding::BASE64.decode(text.as_bytes()).is_ok();
            assert_eq!(pattern.is_match(text), is_read, "{text}");
        }
    }

    #[test]
    fn every_status_of_a_no_is_somewhere_in_the_document() {
        let document = made().to_string();
        for code in 400..=599u16 {
            let is_said = NOES.iter().any(|(status, _)| *status == code);
            // Only where there is no such route or verb, which the document cannot name.
            let is_left_out = code == 405;
            let stands = document.contains(&format!("\"{code}\":"));
            assert_eq!(is_said && !is_left_out, stands, "{code}");
        }
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
