//! From `[web]` to what the server does, refusing what would let strangers in.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use super::audit::Place;
use super::auth::Role;
use super::tls::Tls;
use crate::config::WebConfig;

/// What a key of the configuration says that names no file.
const NONE: &str = "none";

/// The shortest key that is taken.
const KEY_MIN: usize = 32;

/// Why the dashboard may not start.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A value that is none.
    #[error("'{key}' is {got}, but must be {allowed}")]
    Value {
        /// which key
        key: &'static str,
        /// what it is
        got: String,
        /// what it could be
        allowed: &'static str,
    },
    /// A file that cannot serve.
    #[error("'{key}': {file}: {what}")]
    File {
        /// which key
        key: &'static str,
        /// the file
        file: String,
        /// what is wrong with it
        what: String,
    },
    /// Reachable from elsewhere without protection.
    #[error("'web.bind' {bind} can be reached from other machines, but {missing}")]
    Exposed {
        /// the address
        bind: SocketAddr,
        /// what is missing
        missing: &'static str,
    },
}

/// How the dashboard is served.
#[derive(Clone)]
pub struct Settings {
    /// where it listens
    pub bind: SocketAddr,
    /// names under which browsers may reach it, beside the loopback's
    pub allowed_hosts: Vec<String>,
    /// networks that may connect; empty is all
    pub allow_ips: Vec<IpNet>,
    /// networks whose `X-Forwarded-For` is believed
    pub trusted_proxies: Vec<IpNet>,
    /// keys with their roles
    pub keys: Vec<(String, Role)>,
    /// a session ends when it is idle for so long
    pub session_idle: Duration,
    /// and in any case after so long
    pub session_max: Duration,
    /// certificate and key
    pub tls: Option<Arc<Tls>>,
    /// requests a second, of a key, a session, or an address without one
    pub rate_per_second: u32,
    /// requests at once
    pub rate_burst: u32,
    /// failed logins a minute and address
    pub logins_per_minute: u32,
    /// connections at once
    pub connections: usize,
    /// WebSockets at once
    pub websockets: usize,
    /// where it is written down who did what
    pub audit: Option<Place>,
    /// where the results of runs are kept
    pub runs: Option<PathBuf>,
    /// all settings, for the settings page
    pub shown: Arc<Vec<super::model::Setting>>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("bind", &self.bind).finish_non_exhaustive()
    }
}

impl Settings {
    /// Checks the section. `env_key` is the administrator's key from the
    /// environment.
    ///
    /// # Errors
    /// The first thing that keeps the dashboard from being served safely.
    pub fn of(web: &WebConfig, env_key: Option<SecretString>) -> Result<Self, SettingsError> {
        let bind: SocketAddr = web.bind.parse().map_err(|_| SettingsError::Value {
            key: "web.bind",
            got: web.bind.clone(),
            allowed: "an address and a port such as \"127.0.0.1:7878\"",
        })?;
        let mut keys = Vec::new();
        if let Some(key) = env_key {
            let key = key.expose_secret().trim();
            if key.len() < KEY_MIN {
                return Err(SettingsError::Value {
                    key: "SANDPAPER_API_KEY",
                    got: "too short".into(),
                    allowed: "at least 32 characters",
                });
            }
            keys.push((key.to_owned(), Role::Admin));
        }
        for (key, file, role) in [
            ("web.api_key_file", &web.api_key_file, Role::Admin),
            ("web.viewer_key_file", &web.viewer_key_file, Role::Viewer),
            ("web.metrics_key_file", &web.metrics_key_file, Role::Metrics),
        ] {
            if file != NONE {
                keys.push((read_key(key, file)?, role));
            }
        }
        let tls = tls(web)?;
        if !bind.ip().is_loopback() {
            let admin = keys.iter().any(|(_, role)| *role == Role::Admin);
            let missing = if !admin {
                Some("there is no key: set web.api_key_file or SANDPAPER_API_KEY")
            } else if tls.is_none() && !web.insecure_http {
                Some(
                    "there is no TLS: set web.tls_cert and web.tls_key, or web.insecure_http behind a proxy that does it",
                )
            } else {
                None
            };
            if let Some(missing) = missing {
                return Err(SettingsError::Exposed { bind, missing });
            }
        }
        Ok(Self {
            bind,
            allowed_hosts: web.allowed_hosts.iter().map(|host| host.to_lowercase()).collect(),
            allow_ips: networks("web.allow_ips", &web.allow_ips)?,
            trusted_proxies: networks("web.trusted_proxies", &web.trusted_proxies)?,
            keys,
            session_idle: web.session_idle,
            session_max: web.session_max,
            tls,
            rate_per_second: web.rate_per_second,
            rate_burst: web.rate_burst,
            logins_per_minute: web.logins_per_minute,
            connections: web.connections as usize,
            websockets: web.websockets as usize,
            audit: (web.audit_file != NONE).then(|| Place {
                file: web.audit_file.clone().into(),
                rotate: web.audit_rotate_size.0,
                keep: web.audit_keep as usize,
            }),
            runs: None,
            shown: Arc::default(),
        })
    }
}

fn networks(key: &'static str, texts: &[String]) -> Result<Vec<IpNet>, SettingsError> {
    let parse = |text: &String| {
        let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| address()).map_err(|_| SettingsError::Value {
            key,
            got: text.clone(),
            allowed: "networks such as \"10.0.0.0/8\"",
        })
    };
    texts.iter().map(parse).collect()
}

fn read_key(key: &'static str, file: &str) -> Result<String, SettingsError> {
    let wrong = |what: String| SettingsError::File { key, file: file.to_owned(), what };
    let meta = fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(wrong(format!("others can read it: chmod 600 {file}")));
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let text = text.trim();
    if text.len() < KEY_MIN || text.len() > 512 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong("must hold one key of 32 to 512 visible characters".into()));
    }
    Ok(text.to_owned())
}

fn tls(web: &WebConfig) -> Result<Option<Arc<Tls>>, SettingsError> {
    let (cert, key) = (&web.tls_cert, &web.tls_key);
    if cert == NONE && key == NONE {
        return Ok(None);
    }
    let opened = Tls::open(Path::new(cert), Path::new(key)).map_err(|wrong| {
        let (key, file) = if wrong.key { ("web.tls_key", key) } else { ("web.tls_cert", cert) };
        SettingsError::File { key, file: file.clone(), what: wrong.what }
    })?;
    Ok(Some(Arc::new(opened)))
}
