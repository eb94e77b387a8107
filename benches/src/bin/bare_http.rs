//! Baseline of the frontend over REST: reads the JSON and answers at once. `/null` answers without
//! reading.
//!
//! The program prints its port like the frontend, and ends with its standard input.

use std::{io::Read, thread};

use axum::{Router, body::Bytes, routing::post};
use serde::Deserialize;

#[derive(Deserialize)]
struct Query {
    input: Vec<f32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    // Reads the bytes itself, because wrk sends no content type.
    let answer = async |body: Bytes| match serde_json::from_slice::<Query>(&body) {
        Ok(query) => {
            std::hint::black_box(query.input);
            r#"{"query_id":0,"output":[0.0],"default":false}"#
        }
        Err(_) => "invalid query",
    };
    let routes = Router::new()
        .route("/noop/predict", post(answer))
        .route("/null", post(async || ""));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    println!(r#"{{"query_port":{port}}}"#);
    axum::serve(listener, routes).await?;
    Ok(())
}
