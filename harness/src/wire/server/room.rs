//! What a server has of the machine, and why it may not have it.

use std::io;

use broker_contract::{BootError, Origin};

use crate::disk::{FileDisk, StoreError};
use crate::wire::listen::{ListenError, Listener};
use crate::wire::settings::{Limits, Place};
use crate::wire::stream::Stream;
use crate::wire::tls::{Tls, TlsError};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The node refuses its configuration.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A place cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no TLS as it was asked for.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refuses what a server needs.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

/// What a server has of the machine.
#[derive(Debug)]
pub struct Room {
    /// Where connections come from, and whether they speak TLS.
    pub listeners: Vec<(Listener, Option<Tls>)>,
    /// What it may use.
    pub limits: Limits,
    /// What the node stores things on; memory, where there is none.
    pub disk: Option<FileDisk>,
}

impl Room {
    /// A room whose connections come from `places`; with `tls` from those that
    /// ask for it.
    ///
    /// # Errors
    /// [`ListenError`] in one line.
    pub fn open(places: &[Place], limits: Limits, tls: Option<&Tls>) -> Result<Room, ListenError> {
        let mut listeners = Vec::new();
        for place in places {
            let is_secure = matches!(place, Place::Tls(..));
            if is_secure && tls.is_none() {
                return Err(ListenError::no_certificate(place));
            }
            listeners.push((Listener::open(place)?, tls.filter(|_| is_secure).cloned()));
        }
        Ok(Room { listeners, limits, disk: None })
    }
}

/// A listener, and what the loop knows of it.
#[derive(Debug)]
pub(super) struct Ear {
    pub listener: Listener,
    pub tls: Option<Tls>,
    /// Whether connections may wait at it.
    pub is_ready: bool,
}

impl Ear {
    /// Takes one connection that waits.
    pub fn accept(&self) -> io::Result<(Stream, Origin)> {
        let (stream, origin) = self.listener.accept()?;
        match (stream, &self.tls) {
            (Stream::Tcp(socket), Some(tls)) => {
                Ok((Stream::Tls(Box::new(tls.accept(socket)?)), origin))
            }
            (stream, _) => Ok((stream, origin)),
        }
    }
}
