//! The table of functions that SQLCipher calls, and the way from its pointers to slices and back.
//!
//! No panic leaves a function: each answers SQLite's code for an error instead, on which SQLCipher gives up the operation.

use crate::primitives::{self, BLOCK_BYTES, Digest, KEY_BYTES};
use std::{
    ffi::{CStr, c_char, c_int, c_uchar, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr, slice,
};

/// SQLite's result codes.
const SQLITE_OK: c_int = 0;
const SQLITE_ERROR: c_int = 1;

/// SQLCipher's mode of its `cipher` function for sealing; 0 is for opening.
const ENCRYPT: c_int = 1;

const NAME: &CStr = c"snaptrak";
const CIPHER: &CStr = c"aes-256-cbc";
// One with a NUL at its end, as C wants it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

/// `sqlcipher_provider` of SQLCipher 4.19, member by member.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Provider {
    init: Option<extern "C" fn() -> c_int>,
    shutdown: Option<extern "C" fn()>,
    get_provider_name: extern "C" fn(*mut c_void) -> *const c_char,
    add_random: unsafe extern "C" fn(*mut c_void, *const c_void, c_int) -> c_int,
    random: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int,
    hmac: unsafe extern "C" fn(
        *mut c_void,
        c_int,
        *const c_uchar,
        c_int,
        *const c_uchar,
        c_int,
        *const c_uchar,
        c_int,
        *mut c_uchar,
    ) -> c_int,
    kdf: unsafe extern "C" fn(
        *mut c_void,
        c_int,
        *const c_uchar,
        c_int,
        *const c_uchar,
        c_int,
        c_int,
        c_int,
        *mut c_uchar,
    ) -> c_int,
    cipher: unsafe extern "C" fn(
        *mut c_void,
        c_int,
        *const c_uchar,
        c_int,
        *const c_uchar,
        *const c_uchar,
        c_int,
        *mut c_uchar,
    ) -> c_int,
    get_cipher: extern "C" fn(*mut c_void) -> *const c_char,
    get_key_sz: extern "C" fn(*mut c_void) -> c_int,
    get_iv_sz: extern "C" fn(*mut c_void) -> c_int,
    get_block_sz: extern "C" fn(*mut c_void) -> c_int,
    get_hmac_sz: extern "C" fn(*mut c_void, c_int) -> c_int,
    ctx_init: extern "C" fn(*mut *mut c_void) -> c_int,
    ctx_free: extern "C" fn(*mut *mut c_void) -> c_int,
    fips_status: extern "C" fn(*mut c_void) -> c_int,
    get_provider_version: extern "C" fn(*mut c_void) -> *const c_char,
    /// SQLCipher's own: its list of providers.
    next: *mut Provider,
}

/// Fills SQLCipher's table. Called once, while SQLite initialises, by the name that it was compiled with.
///
/// # Safety
///
/// `table` is memory of the size of [`Provider`], which nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn snaptrak_sqlcipher_provider(table: *mut Provider) -> c_int {
    let provider = Provider {
        init: None,
        shutdown: None,
        get_provider_name,
        add_random,
        random,
        hmac,
        kdf,
        cipher,
        get_cipher,
        get_key_sz,
        get_iv_sz,
        get_block_sz,
        get_hmac_sz,
        ctx_init,
        ctx_free,
        fips_status,
        get_provider_version,
        next: ptr::null_mut(),
    };
    // SAFETY: the caller's promise. Written and not assigned: what lay there before is not one of ours.
    unsafe { table.write(provider) };
    SQLITE_OK
}

/// Bytes that are read. Nothing at no address is nothing.
///
/// # Safety
///
/// From `start` on there are `length` bytes, which do not change during `'a`.
unsafe fn bytes<'a>(start: *const c_uchar, length: c_int) -> Option<&'a [u8]> {
    match usize::try_from(length).ok()? {
        0 => Some(&[]),
        _ if start.is_null() => None,
        // SAFETY: the caller's promise, and not null.
        length => Some(unsafe { slice::from_raw_parts(start, length) }),
    }
}

/// Bytes that are written.
///
/// # Safety
///
/// From `start` on there are `length` initialised bytes, which nobody else uses during `'a`.
unsafe fn bytes_mut<'a>(start: *mut c_uchar, length: usize) -> Option<&'a mut [u8]> {
    // SAFETY: the caller's promise, and not null.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts_mut(start, length) })
}

fn answer(work: impl FnOnce() -> Option<()>) -> c_int {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Some(())) => SQLITE_OK,
        Ok(None) | Err(_) => SQLITE_ERROR,
    }
}

extern "C" fn get_provider_name(_: *mut c_void) -> *const c_char {
    NAME.as_ptr()
}

extern "C" fn get_provider_version(_: *mut c_void) -> *const c_char {
    VERSION.as_ptr().cast()
}

/// The system's source needs none of ours.
unsafe extern "C" fn add_random(_: *mut c_void, _: *const c_void, _: c_int) -> c_int {
    SQLITE_OK
}

unsafe extern "C" fn random(_: *mut c_void, buffer: *mut c_void, length: c_int) -> c_int {
    // SAFETY: SQLCipher gives a buffer of its own with its length.
    answer(|| primitives::random(unsafe { bytes_mut(buffer.cast(), usize::try_from(length).ok()?) }?))
}

unsafe extern "C" fn hmac(
    _: *mut c_void,
    digest: c_int,
    key: *const c_uchar,
    key_bytes: c_int,
    first: *const c_uchar,
    first_bytes: c_int,
    second: *const c_uchar,
    second_bytes: c_int,
    out: *mut c_uchar,
) -> c_int {
    answer(|| {
        let digest = Digest::from_number(digest)?;
        let tag = {
            // SAFETY: each pointer comes with its length; an absent second part is null and may have any length.
            let second = if second.is_null() { &[] } else { unsafe { bytes(second, second_bytes) }? };
            // SAFETY: as above.
            primitives::hmac(
                digest,
                unsafe { bytes(key, key_bytes) }?,
                [unsafe { bytes(first, first_bytes) }?, second],
            )?
        };
        // SAFETY: SQLCipher has as much room there as `get_hmac_sz` says. No slice of what was read is alive any more: it may be
        // the same page.
        unsafe { bytes_mut(out, digest.bytes()) }?.copy_from_slice(tag.as_ref());
        Some(())
    })
}

unsafe extern "C" fn kdf(
    _: *mut c_void,
    digest: c_int,
    secret: *const c_uchar,
    secret_bytes: c_int,
    salt: *const c_uchar,
    salt_bytes: c_int,
    rounds: c_int,
    key_bytes: c_int,
    key: *mut c_uchar,
) -> c_int {
    answer(|| {
        // SAFETY: each pointer comes with its length, and the key's is neither the secret's nor the salt's.
        let (secret, salt, key) = unsafe {
            let key = bytes_mut(key, usize::try_from(key_bytes).ok()?)?;
            (bytes(secret, secret_bytes)?, bytes(salt, salt_bytes)?, key)
        };
        primitives::derive(Digest::from_number(digest)?, secret, salt, u32::try_from(rounds).ok()?, key)
    })
}

unsafe extern "C" fn cipher(
    _: *mut c_void,
    mode: c_int,
    key: *const c_uchar,
    key_bytes: c_int,
    iv: *const c_uchar,
    input: *const c_uchar,
    length: c_int,
    out: *mut c_uchar,
) -> c_int {
    answer(|| {
        let count = usize::try_from(length).ok()?;
        if input.is_null() || out.is_null() || iv.is_null() {
            return None;
        }
        // SAFETY: both have `length` bytes. They may be the same or overlap, so they are copied as memory before there is a slice
        // of either; the vector lies behind the page and not in it.
        let (key, iv, data) = unsafe {
            ptr::copy(input, out, count);
            (bytes(key, key_bytes)?, slice::from_raw_parts(iv, BLOCK_BYTES), slice::from_raw_parts_mut(out, count))
        };
        primitives::cipher(mode == ENCRYPT, key, iv, data)
    })
}

extern "C" fn get_cipher(_: *mut c_void) -> *const c_char {
    CIPHER.as_ptr()
}

extern "C" fn get_key_sz(_: *mut c_void) -> c_int {
    KEY_BYTES as c_int
}

extern "C" fn get_iv_sz(_: *mut c_void) -> c_int {
    BLOCK_BYTES as c_int
}

extern "C" fn get_block_sz(_: *mut c_void) -> c_int {
    BLOCK_BYTES as c_int
}

extern "C" fn get_hmac_sz(_: *mut c_void, digest: c_int) -> c_int {
    Digest::from_number(digest).map_or(0, |digest| digest.bytes() as c_int)
}

/// Nothing is kept between two calls.
extern "C" fn ctx_init(_: *mut *mut c_void) -> c_int {
    SQLITE_OK
}

extern "C" fn ctx_free(_: *mut *mut c_void) -> c_int {
    SQLITE_OK
}

extern "C" fn fips_status(_: *mut c_void) -> c_int {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::MaybeUninit;

    fn table() -> Provider {
        let mut table = MaybeUninit::uninit();
        // SAFETY: room for one, and it is filled when the call has returned.
        unsafe {
            assert_eq!(snaptrak_sqlcipher_provider(table.as_mut_ptr()), SQLITE_OK);
            table.assume_init()
        }
    }

    #[test]
    fn a_page_comes_back_from_its_own_buffer_and_from_another() {
        let table = table();
        let (key, iv) = ([7_u8; 32], [9_u8; 16]);
        let plain: Vec<u8> = (0..4_048_u32).map(|byte| byte as u8).collect();
        let mut sealed = vec![0; plain.len()];
        let none = ptr::null_mut();
        let length = plain.len() as c_int;
        // SAFETY: buffers of this length.
        unsafe {
            let turn =
                |mode, from: *const u8, to| (table.cipher)(none, mode, key.as_ptr(), 32, iv.as_ptr(), from, length, to);
            assert_eq!(turn(ENCRYPT, plain.as_ptr(), sealed.as_mut_ptr()), SQLITE_OK);
            assert_ne!(sealed, plain);
            let place = sealed.as_mut_ptr();
            assert_eq!(turn(0, place, place), SQLITE_OK);
        }
        assert_eq!(sealed, plain);
    }

    #[test]
    fn what_is_not_ours_to_answer_is_an_error() {
        let table = table();
        let (key, mut out) = ([7_u8; 32], [0_u8; 64]);
        let none = ptr::null_mut();
        // SAFETY: real buffers, or null, or a length at which nothing is read.
        unsafe {
            let hmac = |digest, first, length, out| {
                (table.hmac)(none, digest, key.as_ptr(), 32, first, length, ptr::null(), 4, out)
            };
            assert_eq!(hmac(1, key.as_ptr(), 32, out.as_mut_ptr()), SQLITE_OK, "no second part");
            assert_eq!(hmac(0, key.as_ptr(), 32, out.as_mut_ptr()), SQLITE_ERROR, "SHA-1");
            assert_eq!(hmac(1, ptr::null(), 32, out.as_mut_ptr()), SQLITE_ERROR);
            assert_eq!(hmac(1, key.as_ptr(), -1, out.as_mut_ptr()), SQLITE_ERROR);
            assert_eq!(hmac(1, key.as_ptr(), 32, ptr::null_mut()), SQLITE_ERROR);
            let mut cipher = |key_bytes, length| {
                (table.cipher)(none, 1, key.as_ptr(), key_bytes, key.as_ptr(), key.as_ptr(), length, out.as_mut_ptr())
            };
            assert_eq!((cipher(31, 16), cipher(32, 15), cipher(32, 16)), (SQLITE_ERROR, SQLITE_ERROR, SQLITE_OK));
            let mut kdf =
                |rounds| (table.kdf)(none, 2, key.as_ptr(), 32, key.as_ptr(), 16, rounds, 32, out.as_mut_ptr());
            assert_eq!((kdf(-1), kdf(0), kdf(2)), (SQLITE_ERROR, SQLITE_ERROR, SQLITE_OK));
            assert_eq!((table.random)(none, ptr::null_mut(), 16), SQLITE_ERROR);
        }
        assert_eq!((table.get_hmac_sz)(none, 0), 0);
    }
}
