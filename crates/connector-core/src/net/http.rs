//! Requests over pooled connections.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Uri;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use smol_str::SmolStr;

use crate::error::Error;
use crate::wire::{HttpRequest, HttpResponse, TransportError};

/// Longest body read; a venue's complete list of markets takes some ten megabytes.
const MAX_BODY: usize = 64 << 20;

#[cfg(feature = "tls")]
pub(super) type Connector = hyper_tls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
pub(super) type Connector = HttpConnector;

/// A connector for plain and, where built in, encrypted connections.
pub(super) fn connector() -> Connector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    #[cfg(feature = "tls")]
    {
        tcp.enforce_http(false);
        hyper_tls::HttpsConnector::new_with_connector(tcp)
    }
    #[cfg(not(feature = "tls"))]
    tcp
}

/// Why a URL cannot be reached by this build, if so.
pub(super) fn unsupported(url: &Uri) -> Option<&'static str> {
    (cfg!(not(feature = "tls")) && url.scheme_str() == Some("https"))
        .then_some("built without TLS: enable the connector's feature `tls` or `tls-vendored`")
}

pub(super) struct Client {
    client: legacy::Client<Connector, Full<Bytes>>,
    base: String,
}

impl Client {
    pub(super) fn new(base: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::usage("rest_url", why).about(base);
        let uri: Uri = base.parse().map_err(|_| refuse("is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(refuse("must look like https://host or http://host:port"));
        }
        if let Some(why) = unsupported(&uri) {
            return Err(refuse(why));
        }
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(55))
            .build(connector());
        Ok(Self { client, base: base.trim_end_matches('/').to_owned() })
    }

    pub(super) async fn exchange(
        &self,
        request: HttpRequest,
        timeout: Duration,
    ) -> Result<HttpResponse, TransportError> {
        tokio::time::timeout(timeout, self.exchange_untimed(request))
            .await
            .unwrap_or(Err(TransportError::Timeout))
    }

    async fn exchange_untimed(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let HttpRequest { method, path, query, headers, body } = request;
        let mark = if query.is_empty() { "" } else { "?" };
        let mut builder = hyper::Request::builder()
            .method(method.as_str())
            .uri(format!("{}{path}{mark}{query}", self.base));
        for (name, value) in &headers {
            builder = builder.header(name.as_str(), value);
        }
        let request =
            builder.body(Full::new(body)).map_err(|error| TransportError::NotSent(error.to_string()))?;
        let response = self.client.request(request).await.map_err(|error| {
            let text = chain(&error);
            if error.is_connect() { TransportError::NotSent(text) } else { TransportError::Broken(text) }
        })?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(|error| TransportError::Broken(chain(error.as_ref())))?
            .to_bytes();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| {
                (SmolStr::new(name.as_str()), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        Ok(HttpResponse { status: parts.status.as_u16(), headers, body: body.into() })
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
