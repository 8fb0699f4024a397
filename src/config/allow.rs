//! The list of who else may connect to the port for debug clients.

use std::net::IpAddr;

/// Networks and users that may connect beyond the user of this process and root.
///
/// ```text
/// 10.0.0.0/8   an address of this network; `10.1.2.3` is a network of one
/// ::1/128      the same in IPv6; an IPv4 address is in no IPv6 network
/// uid:1000     this user, over the loopback interface
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    networks: Vec<Network>,
    users: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// IPv4 addresses that are mapped into IPv6 are unmapped.
    address: IpAddr,
    prefix: u32,
}

impl Allow {
    /// Reads a list; entries that are blank count as none.
    ///
    /// # Errors
    ///
    /// One line that names the entry, what is wrong with it and how it should look.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let mut allow = Self::default();
        for entry in entries {
            let text = entry.trim();
            if text.is_empty() {
                continue;
            }
            match text.strip_prefix("uid:") {
                Some(number) => allow.users.push(user(text, number)?),
                None => allow.networks.push(Network::parse(text)?),
            }
        }
        Ok(allow)
    }

    pub fn has_network_of(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }

    pub fn has_user(&self, user: u32) -> bool {
        self.users.contains(&user)
    }
}

fn user(entry: &str, number: &str) -> Result<u32, String> {
    // `-1` means nobody to the system.
    let user = number.parse().ok().filter(|user| *user != u32::MAX);
    user.ok_or_else(|| format!("`{entry}` names no user; write the user's number, as in uid:1000"))
}

impl Network {
    fn parse(entry: &str) -> Result<Self, String> {
        let (address, prefix) = match entry.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (entry, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            format!(
                "`{entry}` is neither a network nor a user; write a network as 10.0.0.0/8 or fd00::/8, a user as uid:1000"
            )
        })?;
        let bits = width(address);
        let prefix = match prefix {
            None => bits,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits)
                .ok_or_else(|| {
                    format!("`{entry}` has no prefix length of 0 to {bits} behind its slash")
                })?,
        };
        if masked(address, prefix) != address {
            let network = masked(address, prefix);
            return Err(format!(
                "`{entry}` is an address and no network; write {network}/{prefix} for the network, {address} for the \
                 address alone"
            ));
        }
        let canonical = address.to_canonical();
        match prefix.checked_sub(bits - width(canonical)) {
            Some(prefix) => Ok(Self {
                address: canonical,
                prefix,
            }),
            // Larger than all of IPv4.
            None => Ok(Self { address, prefix }),
        }
    }

    fn contains(self, address: IpAddr) -> bool {
        width(self.address) == width(address) && masked(address, self.prefix) == self.address
    }
}

fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with all but the first bits cleared.
fn masked(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(entries: &[&str]) -> Result<Allow, String> {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Allow::parse(&entries)
    }

    #[test]
    fn networks_contain_their_addresses() {
        let has = |entry: &str, address: &str| {
            let address: IpAddr = address.parse().unwrap();
            allow(&[entry])
                .unwrap()
                .has_network_of(address.to_canonical())
        };
        for (entry, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.6"),
            ("127.0.0.0/8", "127.3.2.1", "::1"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("::/0", "fd00::1", "1.2.3.4"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1/128", "::1", "::2"),
            (" ::1 ", "::1", "127.0.0.1"),
        ] {
            assert!(has(entry, inside), "{entry} {inside}");
            assert!(!has(entry, outside), "{entry} {outside}");
        }
    }

    #[test]
    fn users_by_number() {
        let allow = allow(&["uid:1000", "", " uid:0 "]).unwrap();
        assert!(allow.has_user(1000) && allow.has_user(0));
        assert!(!allow.has_user(1001));
        assert!(!allow.has_network_of("0.0.0.0".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_told() {
        for (entry, reason) in [
            ("localhost", "neither a network nor a user"),
            ("user:me", "neither a network nor a user"),
            ("10.0.0.0/33", "0 to 32"),
            ("10.0.0.0/", "0 to 32"),
            ("::/129", "0 to 128"),
            ("10.0.0.0/-1", "0 to 32"),
            ("10.1.2.3/8", "write 10.0.0.0/8"),
            ("uid:", "uid:1000"),
            ("uid:me", "uid:1000"),
            ("uid:4294967295", "uid:1000"),
            ("uid:-1", "uid:1000"),
        ] {
            let error = allow(&["uid:1", entry]).unwrap_err();
            assert!(error.contains(entry) && error.contains(reason), "{error}");
        }
    }
}
