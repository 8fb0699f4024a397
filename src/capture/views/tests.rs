use super::names::{
    captured, from_short, future, is_coroutine, matches, object_trait, without_bindings,
    without_env,
};

#[test]
fn patterns_match_whole_names() {
    for (pattern, name, wanted) in [
        ("&str", "&str", true),
        ("&str", "&strs", false),
        ("alloc::vec::Vec<*", "alloc::vec::Vec<u8, A>", true),
        (
            "std::sync::*Mutex<*",
            "std::sync::poison::mutex::Mutex<u8>",
            true,
        ),
        (
            "std::sync::*Mutex<*",
            "std::sync::poison::mutex::MutexGuard<u8>",
            false,
        ),
        ("*::Money", "shop::Money", true),
        ("*::Money", "shop::Moneys", false),
        ("a*b*c", "abc", true),
        ("a*b*c", "acb", false),
        ("*", "", true),
    ] {
        assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
    }
}

#[test]
fn the_trait_of_an_object_is_its_first() {
    for (name, wanted) in [
        ("&dyn core::fmt::Debug", Some("core::fmt::Debug")),
        ("&mut (dyn a::B + core::marker::Send)", Some("a::B")),
        (
            "alloc::boxed::Box<dyn a::B<u8, c::D>, alloc::alloc::Global>",
            Some("a::B<u8, c::D>"),
        ),
        (
            "&dyn core::ops::function::Fn<(u8,), Output=fn() -> u8>",
            Some("core::ops::function::Fn<(u8,), Output=fn() -> u8>"),
        ),
        ("&str", None),
    ] {
        assert_eq!(object_trait(name), wanted, "{name}");
    }
}

#[test]
fn implementations_do_not_name_what_a_trait_binds() {
    for (path, wanted) in [
        ("a::B", "a::B"),
        ("a::B<u8, (u8, c::D<e>)>", "a::B<u8, (u8, c::D<e>)>"),
        ("core::iter::Iterator<Item=u32>", "core::iter::Iterator"),
        (
            "core::ops::function::Fn<(u8,), Output=fn(u8) -> u8>",
            "core::ops::function::Fn<(u8,)>",
        ),
    ] {
        assert_eq!(without_bindings(path), wanted, "{path}");
    }
}

#[test]
fn what_has_no_name_of_its_own_gets_one() {
    assert_eq!(without_env("a::main::{closure_env#2}<u8>"), "{closure#2}");
    assert_eq!(captured("_ref__order__id"), "order.id");
    assert_eq!(captured("plain_name"), "plain_name");
    assert_eq!(captured("__0"), "__0");
    assert_eq!(future("a::af::{async_fn_env#0}<u8>"), "{async fn a::af}");
    assert_eq!(
        future("a::main::{async_block_env#3}"),
        "{async block#3 in a::main}"
    );
    assert!(is_coroutine("a::af::{async_fn_env#0}"));
    assert!(!is_coroutine("alloc::vec::Vec<a::af::{async_fn_env#0}>"));
    assert_eq!(
        from_short("core::marker::PhantomData<alloc::string::String>"),
        "PhantomData<alloc::string::String>"
    );
}
