//! New connections: from the URL, with libpq's TLS parameters.

use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::store_error;
use super::tls::{TlsParameters, Verify, client_config};
use crate::mlflow::tracking_uri::DatabaseUrl;
use crate::store::StoreError;

/// How long a connection attempt may take unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A writer that waits longer for a row than this lets the sender retry.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '20s'";

/// Values over 2 KB, as most spans are, are compressed by the server. For spans of 3.3 KB, LZ4 takes
/// it less than half the CPU time per row that the default takes, and about 40 % more disk; reading
/// works whatever wrote them. Servers before 14, or built without it, refuse, and go on with the
/// default.
const FASTER_COMPRESSION: &str = "SET default_toast_compression = 'lz4'";

/// Makes connections to one database.
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Connector {
    pub(super) fn new(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let (plain, parameters) = TlsParameters::split_off(url.expose())?;
        let mut config = Config::from_str(&plain).map_err(|error| {
            let cause =
                std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            StoreError::fatal(format!("the tracking URI {url} cannot be read{cause}"))
        })?;
        config.ssl_mode(match parameters.verify {
            Verify::NoTls => SslMode::Disable,
            Verify::IfOffered => SslMode::Prefer,
            Verify::Nothing | Verify::Chain | Verify::ChainAndHost => SslMode::Require,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("otel-mlflow");
        }
        Ok(Self { config, tls: MakeRustlsConnect::new(client_config(&parameters)?) })
    }

    pub(super) async fn client(&self) -> Result<Client, StoreError> {
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(store_error)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Whoever uses the connection hears of it, too.
                tracing::debug!(%error, "connection to PostgreSQL lost");
            }
        });
        client.batch_execute(LOCK_TIMEOUT).await.map_err(store_error)?;
        if let Err(error) = client.batch_execute(FASTER_COMPRESSION).await {
            tracing::debug!(%error, "PostgreSQL has no LZ4 compression");
        }
        Ok(client)
    }
}
