//! One declaration, three languages: `abi_struct!` defines the Rust type and records its fields
//! so that [`crate::describe`] can render the C header and the C# mirror.

/// A struct of the contract: what the renderers need to know of it.
pub struct StructInfo {
    /// Rust name; the C name is `ancm_` + snake case.
    pub name: &'static str,
    /// Size in bytes on the supported targets (64-bit, little-endian).
    pub size: usize,
    /// Doc comment, one line per element.
    pub doc: &'static [&'static str],
    /// Fields in order.
    pub fields: &'static [FieldInfo],
}

/// One field of a [`StructInfo`].
pub struct FieldInfo {
    /// Field name, the same in all languages.
    pub name: &'static str,
    /// Rust type as written in the declaration.
    pub ty: &'static str,
    /// Offset in bytes.
    pub offset: usize,
    /// Doc comment, one line per element.
    pub doc: &'static [&'static str],
}

/// A named group of constants, such as a set of flags.
pub struct ConstantsInfo {
    /// Module name; prefix of the C constants, class name in C#.
    pub name: &'static str,
    /// Doc comment, one line per element.
    pub doc: &'static [&'static str],
    /// Name, value and doc of each constant.
    pub items: &'static [(&'static str, i64, &'static [&'static str])],
}

macro_rules! abi_struct {
    ($(#[doc = $doc:literal])* pub struct $name:ident {
        $($(#[doc = $fdoc:literal])* pub $field:ident : $ty:ty,)*
    }) => {
        $(#[doc = $doc])*
        #[repr(C)]
        pub struct $name { $($(#[doc = $fdoc])* pub $field: $ty,)* }

        impl $name {
            /// Layout record, for rendering and for the layout test.
            pub const INFO: $crate::declare::StructInfo = $crate::declare::StructInfo {
                name: stringify!($name),
                size: std::mem::size_of::<$name>(),
                doc: &[$($doc),*],
                fields: &[$($crate::declare::FieldInfo {
                    name: stringify!($field),
                    ty: stringify!($ty),
                    offset: std::mem::offset_of!($name, $field),
                    doc: &[$($fdoc),*],
                }),*],
            };
        }
    };
}

macro_rules! abi_constants {
    ($(#[doc = $doc:literal])* pub mod $name:ident : $ty:ident {
        $($(#[doc = $cdoc:literal])* $item:ident = $value:expr;)*
    }) => {
        $(#[doc = $doc])*
        pub mod $name {
            $($(#[doc = $cdoc])* pub const $item: $ty = $value;)*

            /// Record of this group, for rendering.
            pub const INFO: $crate::declare::ConstantsInfo = $crate::declare::ConstantsInfo {
                name: stringify!($name),
                doc: &[$($doc),*],
                items: &[$((stringify!($item), $item as i64, &[$($cdoc),*])),*],
            };
        }
    };
}

pub(crate) use {abi_constants, abi_struct};
