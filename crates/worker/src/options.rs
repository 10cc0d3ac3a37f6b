//! What the engine is told: its defaults, what `web.config` says instead, and what the system grants.

use std::time::Duration;

use config::{App, Env, HostingModel};
use control::{Io, Start};
use engine::{CertificateField, Filter, Options};

/// Of the descriptors that a process may have, these stay for the application at most: an eighth,
/// at least a few, is kept from connections, so that a crowd of clients does not take the files and
/// sockets away that their answers are made of.
const RESERVE: u64 = 512;

/// How long a page that is replaced goes on answering connections that were kept: whoever asks later
/// is to find the application.
const PAGE_LAST_REQUEST: Duration = Duration::from_millis(100);

/// The runtime's own setting for stacks of threads, in hexadecimal; `stackSize` sets it.
const STACK_VARIABLE: &str = "DOTNET_DefaultStackSize";
/// Of address space a process has enough for as many such stacks as there may be threads.
const LARGEST_STACK: usize = 1 << 30;

/// The options for what a worker serves; `app` is `None` for a page.
pub(crate) fn options(start: &Start, app: Option<&App>, descriptors: u64) -> Options {
    let mut options = Options::new(start.lanes);
    options.io = match start.io {
        Io::Auto => engine::Io::Auto,
        Io::Epoll => engine::Io::Epoll,
        Io::Uring => engine::Io::Uring,
    };
    let blocked = app.map_or(1, |app| app.settings.handler_settings.max_blocked_threads);
    options.threads = options.lanes.saturating_add(blocked);
    if app.is_none() {
        options.last_request = PAGE_LAST_REQUEST;
    }
    if let Some(app) = app {
        limit(&mut options, &app.settings.limits);
        let settings = &app.settings.handler_settings;
        options.certificate_field = settings.client_certificate_field.as_ref().map(|name| {
            let proxies = settings.trusted_proxies.clone();
            CertificateField::new(name, move |client| proxies.contains(client))
        });
        if app.settings.hosting_model == HostingModel::InProcess {
            let env = Env::of_process();
            options.stack = stack(env.non_empty(STACK_VARIABLE), options.stack);
        }
        app.path_base.as_str().clone_into(&mut options.path_base);
        if app.settings.remove_server_header {
            options.server.clear();
        }
    }
    options.connections = options.connections.min(room_for(descriptors));
    options
}

fn limit(options: &mut Options, limits: &config::Limits) {
    fn set<T: Copy, U>(option: &mut U, limit: Option<T>, to: impl Fn(T) -> U) {
        if let Some(limit) = limit {
            *option = to(limit);
        }
    }
    let count = |limit: u32| limit as usize;
    options.max_body = limits.max_allowed_content_length;
    options.filter = Filter {
        url: limits.max_url.map(count),
        query: limits.max_query_string.map(count),
        fields: limits
            .header_limits
            .iter()
            .map(|(name, most)| (name.clone(), count(*most)))
            .collect(),
    };
    let head = &mut options.head;
    set(&mut head.request_line, limits.max_request_line_size, count);
    set(&mut head.head, limits.max_request_headers_total_size, count);
    // A line that is longer than the head may be would never fit.
    if limits.max_request_headers_total_size.is_none() {
        head.head = head.head.max(head.request_line.saturating_mul(2));
    }
    set(&mut head.fields, limits.max_request_header_count, count);
    set(&mut options.head_time, limits.request_headers_timeout, |time| time);
    set(&mut options.keep_alive, limits.keep_alive_timeout, |time| time);
    set(&mut options.min_rate, limits.min_data_rate, u64::from);
    set(&mut options.rate_grace, limits.min_data_rate_grace_period, |time| time);
    set(&mut options.connections, limits.max_concurrent_connections, count);
    set(&mut options.requests_per_connection, limits.max_requests_per_connection, u64::from);
    set(&mut options.queue, limits.queue_length, count);
    set(&mut options.queue_time, limits.queue_time_limit, |time| time);
    set(&mut options.concurrent, limits.app_concurrent_request_limit, count);
}

/// Stack of a thread that the application runs on: what it asks for, where that is more than it has
/// anyway.
fn stack(setting: Option<&str>, default: usize) -> usize {
    let digits = setting.map(|text| text.trim_start_matches("0x"));
    let wanted = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    wanted.unwrap_or(default).clamp(default, LARGEST_STACK)
}

/// How many connections there may be with so many descriptors.
fn room_for(descriptors: u64) -> usize {
    let reserve = (descriptors / 8).clamp(32, RESERVE);
    usize::try_from(descriptors.saturating_sub(reserve)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_what_the_application_asks_for_within_reason() {
        const DEFAULT: usize = 8 << 20;
        for (setting, bytes) in [
            (None, DEFAULT),
            (Some("2000000"), 32 << 20),
            (Some("0x2000000"), 32 << 20),
            (Some("100000"), DEFAULT),
            (Some("much"), DEFAULT),
            (Some("ffffffffffffffff"), 1 << 30),
        ] {
            assert_eq!(stack(setting, DEFAULT), bytes, "{setting:?}");
        }
    }

    #[test]
    fn the_application_keeps_descriptors_of_its_own() {
        for (descriptors, connections) in
            [(20_000, 19_488), (1024, 896), (64, 32), (10, 1), (1 << 20, (1 << 20) - 512)]
        {
            assert_eq!(room_for(descriptors), connections, "{descriptors}");
        }
    }
}
