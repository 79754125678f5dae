//! Addresses to listen on.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use tokio::net::TcpListener;

/// The address is taken or not ours.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address}")]
pub struct Error {
    /// Where.
    address: Bind,
    /// What the system said.
    source: std::io::Error,
}

/// An address to listen on, in the form of other controllers: "0", ":8080" or "10.0.0.1:8080".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// "0": do not listen.
    Off,
    /// ":port": all addresses, IPv4 and IPv6 where there is any.
    All(u16),
    /// This address only.
    One(SocketAddr),
}

/// An address is not understood.
#[derive(Debug, thiserror::Error)]
#[error("not an address: give \"0\", \":port\" or \"ip:port\"")]
pub struct BindError;

impl FromStr for Bind {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        if text == "0" {
            return Ok(Self::Off);
        }
        match text.strip_prefix(':') {
            Some(port) => port.parse().map(Self::All).map_err(|_| BindError),
            None => text.parse().map(Self::One).map_err(|_| BindError),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("0"),
            Self::All(port) => write!(f, ":{port}"),
            Self::One(address) => address.fmt(f),
        }
    }
}

impl Bind {
    /// Starts to listen; `None` if it is off.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn listen(self) -> Result<Option<TcpListener>, Error> {
        let listening = match self {
            Self::Off => return Ok(None),
            Self::One(address) => TcpListener::bind(address).await,
            Self::All(port) => {
                let at = |ip: IpAddr| TcpListener::bind(SocketAddr::new(ip, port));
                match at(Ipv6Addr::UNSPECIFIED.into()).await {
                    Ok(listener) => Ok(listener),
                    // A machine without IPv6.
                    Err(_) => at(Ipv4Addr::UNSPECIFIED.into()).await,
                }
            }
        };
        listening.map(Some).map_err(|source| Error {
            address: self,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Bind;

    #[test]
    fn addresses_are_written_as_in_other_controllers() {
        assert_eq!("0".parse::<Bind>().unwrap(), Bind::Off);
        assert_eq!(":8080".parse::<Bind>().unwrap(), Bind::All(8080));
        let one = "127.0.0.1:1".parse::<Bind>().unwrap();
        assert_eq!(
            (one, one.to_string()),
            (Bind::One(([127, 0, 0, 1], 1).into()), "127.0.0.1:1".into())
        );
        assert!("localhost".parse::<Bind>().is_err() && ":x".parse::<Bind>().is_err());
    }
}
