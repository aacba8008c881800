//! Requests: from the engine's request to the library's, and back.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use smol_str::SmolStr;

use crate::dialect::Method;
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

/// Where requests go.
pub(super) struct Base {
    /// To open a connection.
    pub(super) uri: Uri,
    host: HeaderValue,
    /// In front of every path; mostly empty.
    prefix: String,
}

impl Base {
    pub(super) fn new(base: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::usage("rest_url", why).about(base);
        let uri: Uri = base.parse().map_err(|_| refuse("is not a URL"))?;
        let authority = uri.authority().filter(|_| matches!(uri.scheme_str(), Some("http" | "https")));
        let Some(authority) = authority else {
            return Err(refuse("must look like https://host or http://host:port"));
        };
        if let Some(why) = unsupported(&uri) {
            return Err(refuse(why));
        }
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| refuse("is not a URL"))?;
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { uri, host, prefix })
    }

    /// The request as the library takes it.
    pub(super) fn request(&self, request: HttpRequest) -> Result<Request<Full<Bytes>>, TransportError> {
        let HttpRequest { method, path, query, headers, body } = request;
        let refuse = |what: &str| TransportError::NotSent(format!("the {what} cannot be written"));
        let mut target = String::with_capacity(self.prefix.len() + path.len() + 1 + query.len());
        target.push_str(&self.prefix);
        target.push_str(&path);
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query);
        }
        let target = Uri::from_maybe_shared(Bytes::from(target)).map_err(|_| refuse("path or query"))?;
        let mut ready = Request::new(Full::new(body));
        *ready.uri_mut() = target;
        *ready.method_mut() = match method {
            Method::Get => hyper::Method::GET,
            Method::Post => hyper::Method::POST,
            Method::Put => hyper::Method::PUT,
            Method::Delete => hyper::Method::DELETE,
        };
        let fields = ready.headers_mut();
        fields.reserve(headers.len() + 1);
        fields.insert(HOST, self.host.clone());
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("name of a header"))?;
            let value = HeaderValue::from_str(&value).map_err(|_| refuse("value of a header"))?;
            fields.append(name, value);
        }
        Ok(ready)
    }
}

/// Reads an answer to its end.
pub(super) async fn read(response: Response<Incoming>) -> Result<HttpResponse, TransportError> {
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
            (SmolStr::new(name.as_str()), SmolStr::new(String::from_utf8_lossy(value.as_bytes())))
        })
        .collect();
    Ok(HttpResponse { status: parts.status.as_u16(), headers, body: body.into() })
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
