//! A table of a foreign library's functions, looked up by name once.

/// Declares a struct with one function pointer for each line, and how it is filled.
///
/// What a line says is believed: a signature that is not the library's is undefined behaviour at the first call.
macro_rules! functions {
    ($(#[$about:meta])* $table:ident { $($field:ident = $symbol:literal ($($argument:ty),*) $(-> $answer:ty)?;)+ }) => {
        $(#[$about])*
        struct $table {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $answer)?,)+
        }

        impl $table {
            /// Every function, or the name of the first that is not there.
            fn of(library: &libloading::Library) -> Result<Self, &'static str> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the type is the one of the library's header, and the version has been checked.
                        let found = unsafe { library.get(concat!($symbol, "\0").as_bytes()) };
                        *found.map_err(|_| $symbol)?
                    },)+
                })
            }
        }
    };
}

pub(super) use functions;
