//! A pair of connected sockets that carry packets, each whole or not at all, and
//! descriptors with them.
#![allow(
    unsafe_code,
    reason = "a descriptor that arrives in a packet is a bare number in nix"
)]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag,
    SockType, recvmsg, sendmsg, socketpair,
};

use super::descriptor::above_standard;

/// Two ends, closed on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    Ok((above_standard(one)?, above_standard(other)?))
}

/// Sends the parts as one packet, with a descriptor if there is one, waiting for room
/// as long as it takes.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    attached: Option<BorrowedFd<'_>>,
) -> nix::Result<()> {
    let fds = attached.map(|fd| [fd.as_raw_fd()]);
    let rights = fds.as_ref().map(|fds| ControlMessage::ScmRights(fds));
    loop {
        let flags = MsgFlags::MSG_NOSIGNAL;
        match sendmsg::<()>(
            socket.as_raw_fd(),
            parts,
            rights.as_slice(),
            flags,
            None,
        ) {
            Err(Errno::EINTR) => {}
            sent => return sent.map(drop),
        }
    }
}

/// Sends the bytes as one packet, waiting for room as long as it takes.
pub(crate) fn send_bytes(socket: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<()> {
    loop {
        let flags = MsgFlags::MSG_NOSIGNAL;
        match socket::send(socket.as_raw_fd(), bytes, flags) {
            Err(Errno::EINTR) => {}
            sent => return sent.map(drop),
        }
    }
}

/// What [`recv`] found.
pub(crate) enum Packet {
    /// This number of bytes, with the descriptor that came with them.
    Bytes(usize, Option<OwnedFd>),
    /// No process is left that could send.
    End,
}

/// Receives one packet, which must fit the buffer, waiting for it unless `flags` say
/// `MSG_DONTWAIT`.
pub(crate) fn recv(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: MsgFlags,
) -> nix::Result<Packet> {
    /// The buffer for the descriptor, aligned as the system requires.
    #[repr(align(8))]
    struct Attached([u8; 24]);

    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    loop {
        let mut attached = Attached([0; 24]);
        let mut parts = [IoSliceMut::new(buffer)];
        let place = Some(attached.0.as_mut_slice());
        let message =
            match recvmsg::<()>(socket.as_raw_fd(), &mut parts, place, flags) {
                // The other end was closed while something sent to it was still unread.
                // Reported once; what it sent before can still be received.
                Err(Errno::EINTR | Errno::ECONNRESET) => continue,
                received => received?,
            };
        if message.bytes == 0 {
            return Ok(Packet::End);
        }
        let mut descriptor = None;
        for control in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(fds) = control {
                for fd in fds {
                    // SAFETY: the system has just made this descriptor, for nobody
                    // else.
                    descriptor = Some(unsafe { OwnedFd::from_raw_fd(fd) });
                }
            }
        }
        return Ok(Packet::Bytes(message.bytes, descriptor));
    }
}
