//! What leases are signed with, public half, for programs that check them. Decides its form and nothing else.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use data_encoding::BASE64;

use super::server::Shared;

/// `GET /api/v1/signing-key`
pub(super) async fn signing_key(State(shared): State<Arc<Shared>>) -> Response {
    // RFC 8410: the fixed head of an Ed25519 SubjectPublicKeyInfo, then the key.
    let der = [&SPKI_HEAD[..], shared.admin.site.public.as_bytes()].concat();
    let pem = BASE64.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
    ([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response()
}

const SPKI_HEAD: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
