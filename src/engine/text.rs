//! Writing the text of a process that runs, one byte at a time.

use super::origin::Mappings;
use super::proc;
use super::sites::{LONGEST_INSTRUCTION, Site};
use super::sys;

/// The instruction that traps.
pub const INT3: u8 = 0xCC;

/// A process' memory, through the kernel: pages that are not writable are written all the same, and get private copies.
pub struct Text {
    fd: i32,
    /// Absent where it may not be known what is mapped; then the instruction alone tells whether a site is still there.
    mappings: Option<Mappings>,
}

impl Text {
    /// Opens the memory of a process, or of one of its threads, for writing; needs the right to trace it.
    pub fn open(pid: i32) -> Result<Self, sys::Errno> {
        Self::open_for(pid, libc::O_RDWR)
    }

    /// One that every write to fails.
    #[cfg(test)]
    pub fn unwritable(pid: i32) -> Result<Self, sys::Errno> {
        Self::open_for(pid, libc::O_RDONLY)
    }

    fn open_for(pid: i32, access: i32) -> Result<Self, sys::Errno> {
        let fd = sys::open(&proc::path(pid, b"/mem"), access)?;
        Ok(Self {
            fd,
            mappings: Mappings::open(pid).ok(),
        })
    }

    /// Before several sites in a row, during which the program is taken to unload nothing.
    pub fn look_again(&self) {
        if let Some(mappings) = &self.mappings {
            mappings.look_again();
        }
    }

    /// Writes any bytes.
    pub fn write(&self, address: u64, bytes: &[u8]) -> bool {
        sys::write_at(self.fd, bytes, address) == Ok(bytes.len())
    }

    /// Writes the `int3` of a site, if its own instruction is there.
    pub fn patch(&self, site: &Site) -> bool {
        self.has(site, site.original) && self.write(site.address, &[INT3])
    }

    /// Puts the text's own byte back, if the site's `int3` is there: what is not ours is not touched. Between the look and
    /// the write lies a microsecond; a program that maps something else in it, with an `int3` there and the same bytes
    /// behind, is the one that is not seen.
    pub fn restore(&self, site: &Site) -> bool {
        self.has(site, INT3) && self.write(site.address, &[site.original])
    }

    /// Whether a site's instruction is there, with `first` for its first byte, in the memory that the site was made in.
    pub fn has(&self, site: &Site, first: u8) -> bool {
        let mut found = [0; LONGEST_INSTRUCTION];
        let found = found.get_mut(..site.code.len()).unwrap_or_default();
        sys::read_at(self.fd, found, site.address) == Ok(found.len())
            && site.is_code(found, first)
            && site.is_in_place(self.mappings.as_ref())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        sys::close(self.fd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::displace;

    static CODE: [u8; 4] = [0x48, 0x31, 0xc0, 0xc3];

    fn site() -> Site {
        let address = std::hint::black_box(&CODE).as_ptr() as u64;
        let code = CODE[..3].to_vec();
        let displaced = displace::displace(&code, address, address + 0x1000).unwrap();
        Site::new(address, code, displaced)
    }

    fn first_byte(site: &Site) -> u8 {
        // SAFETY: a byte of a static; volatile, for the compiler may assume that it did not change.
        unsafe { std::ptr::read_volatile(site.address as *const u8) }
    }

    #[test]
    fn only_a_sites_own_instruction_is_replaced() {
        let text = Text::open(sys::process_id()).unwrap();
        let mappings = Mappings::open(sys::process_id()).unwrap();
        let mut site = site();
        site.set_origin(mappings.origin(site.address));
        assert!(!text.restore(&site), "there is no `int3`");
        assert!(text.patch(&site));
        assert_eq!(first_byte(&site), INT3);
        assert!(!text.patch(&site), "it is there already");

        let elsewhere =
            mappings.origin(only_a_sites_own_instruction_is_replaced as fn() as usize as u64);
        site.set_origin(elsewhere);
        assert!(!text.restore(&site), "other memory has taken its place");
        site.set_origin(mappings.origin(site.address));
        let last = site.code.pop().unwrap();
        site.code.push(last ^ 1);
        assert!(!text.restore(&site), "another instruction ends there");
        assert_eq!(first_byte(&site), INT3);
        site.code.pop();
        site.code.push(last);
        assert!(text.restore(&site));
        assert_eq!(first_byte(&site), CODE[0]);
        site.address = 8;
        assert!(!text.patch(&site), "nothing is there");
    }
}
