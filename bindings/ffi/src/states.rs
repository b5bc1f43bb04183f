//! The words of the vocabulary as enums of the bindings. No wildcard: a new word of the core does not compile until it is here.

macro_rules! mirrored {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
            pub enum $name {
                $($(#[$variant_doc])* $variant,)*
            }

            impl From<snaptrak::$name> for $name {
                fn from(word: snaptrak::$name) -> Self {
                    match word { $(snaptrak::$name::$variant => Self::$variant,)* }
                }
            }

            impl From<$name> for snaptrak::$name {
                fn from(word: $name) -> Self {
                    match word { $($name::$variant => Self::$variant,)* }
                }
            }
        )*
    };
}

mirrored! {
    /// What kind of evidence a capture is.
    Kind {
        /// A still picture.
        Photo,
        /// Moving pictures, with or without sound.
        Video,
        /// Sound alone.
        Audio,
        /// A document.
        Scan,
        /// Text that a person wrote.
        Note,
        /// Anything else.
        File,
    }
    /// What kind of thing happened to an asset.
    EventKind {
        /// It is new: a capture, a recording that begins, a thumbnail.
        Added,
        /// It stands in another state.
        StateChanged,
        /// Findings of it were kept.
        Found,
        /// Somebody annotated its capture; told of the original.
        Annotated,
        /// It is gone: a recording that was taken back before anything of it could have left.
        Removed,
    }
    /// Which rendition of a capture an asset is.
    Rendition {
        /// The bytes as they were captured.
        Original,
        /// With what must not be seen destroyed.
        Redacted,
        /// Small.
        Thumbnail,
    }
    /// Where an asset stands; a capture's state is its original's.
    AssetState {
        /// It is being recorded.
        Recording,
        /// All its pieces are sealed.
        Saved,
        /// What must be done before it leaves has been done.
        Prepared,
        /// It may leave.
        Queued,
        /// It is leaving.
        Sending,
        /// The server has it and has not signed for it yet.
        Received,
        /// The server has signed that it durably holds the same bytes.
        Verified,
        /// Verified, and its bytes are at the server alone.
        Purged,
        /// A policy keeps it here.
        Withheld,
        /// Set aside with a reason.
        Parked,
        /// Taken back.
        Cancelled,
    }
    /// Whether the app is in front.
    Place {
        /// A person looks at it.
        Foreground,
        /// Nobody does.
        Background,
    }
    /// How warm the device says it is.
    Thermal {
        /// Cool.
        Nominal,
        /// Warm, nothing to do about it (Android: light).
        Fair,
        /// Hot, and slower for it (Android: moderate, severe).
        Serious,
        /// Work has to stop (Android: critical and above).
        Critical,
    }
    /// Why the app's last process ended (Android's `ApplicationExitInfo`, iOS's `MXAppExitMetric`).
    ExitReason {
        /// Native code crashed.
        NativeCrash,
        /// The system took it for want of memory.
        LowMemory,
        /// A person ended it.
        User,
        /// The system ended it for reasons of its own, as an update.
        System,
        /// Anything else, or nobody knows.
        Unknown,
    }
    /// Where a model may run.
    Accelerator {
        /// The processor.
        Cpu,
        /// A GPU.
        Gpu,
        /// A neural processor.
        Npu,
    }
    /// Where a step stands.
    StepState {
        /// To be done.
        Waiting,
        /// Being done.
        Running,
        /// Done.
        Done,
        /// Set aside with a reason.
        Parked,
        /// Not wanted any more.
        Cancelled,
    }
}
