//! The lookup on axum: the default multi-threaded runtime, TCP_NODELAY as in the store.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Router, serve};
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use toystore_peers::{Shop, UNKNOWN, address};

const HEADERS: [(header::HeaderName, &str); 2] =
    [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];

#[tokio::main]
async fn main() -> io::Result<()> {
    let router = Router::new()
        .route("/products", get(all))
        .route("/products/{name}", get(toy))
        .with_state(Arc::new(Shop::open()));
    let listener = TcpListener::bind(address()).await?.tap_io(|stream| {
        // Without it, only small answers are slower.
        stream.set_nodelay(true).ok();
    });
    serve(listener, router).await
}

async fn toy(State(shop): State<Arc<Shop>>, Path(name): Path<String>) -> impl IntoResponse {
    match shop.toy(&name) {
        Some(answer) => (StatusCode::OK, HEADERS, answer),
        None => (StatusCode::NOT_FOUND, HEADERS, UNKNOWN),
    }
}

async fn all(State(shop): State<Arc<Shop>>) -> impl IntoResponse {
    (HEADERS, shop.all)
}
