//! The lookup on actix-web: its default of a worker per core.

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{App, HttpResponse, HttpResponseBuilder, HttpServer, get, web};
use std::io;
use toystore_peers::{Shop, UNKNOWN, address};

#[actix_web::main]
async fn main() -> io::Result<()> {
    let shop = web::Data::new(Shop::open());
    HttpServer::new(move || App::new().app_data(shop.clone()).service(toy).service(all))
        .bind(address())?
        .run()
        .await
}

#[get("/products/{name}")]
async fn toy(shop: web::Data<Shop>, name: web::Path<String>) -> HttpResponse {
    match shop.toy(&name) {
        Some(answer) => send(HttpResponse::Ok(), answer),
        None => send(HttpResponse::NotFound(), UNKNOWN),
    }
}

#[get("/products")]
async fn all(shop: web::Data<Shop>) -> HttpResponse {
    send(HttpResponse::Ok(), shop.all)
}

fn send(mut response: HttpResponseBuilder, body: &'static str) -> HttpResponse {
    response.content_type(ContentType::json()).insert_header((CACHE_CONTROL, "no-store")).body(body)
}
