//! The cryptography of the process: HTTP clients here are built without one of their own.

use std::sync::Once;

static PROVIDER: Once = Once::new();

/// Makes `ring` the cryptography of every TLS connection of the process. May be called any number
/// of times; a provider that somebody else has installed stays. To be called before any HTTP
/// client is made: without a provider that panics.
pub fn install_crypto_provider() {
    PROVIDER.call_once(|| {
        // Fails only if there is a provider already, and then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_can_be_installed_twice() {
        install_crypto_provider();
        install_crypto_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
