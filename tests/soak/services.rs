//! The same recycles under the real systemd: our unit, and the usual one behind nginx.

use std::{net::SocketAddr, process::ExitCode, time::Instant};

use serde_json::json;
use testkit::{
    App, Connection, Load, Systemd, eventually,
    systemd::{SERVICE, SOCKET},
};

use crate::{
    beside::Beside,
    table::{Run, Table},
};

/// Clients of each kind: those that keep their connection, those that open new ones.
const CLIENTS: usize = 4;

/// The unit that one is advised to write for Kestrel.
const KESTREL: &str = "[Service]\n\
    WorkingDirectory=/srv/app\n\
    ExecStart=/usr/share/dotnet/dotnet /srv/app/Site.dll\n\
    Restart=always\nRestartSec=1\nKillSignal=SIGINT\nUser=www-data\n\
    Environment=ASPNETCORE_URLS=http://KESTREL DOTNET_NOLOGO=1\n";

const NGINX: &str = "[Service]\n\
    ExecStart=/usr/sbin/nginx -c /run/nginx.conf -g 'daemon off;'\n\
    ExecReload=/bin/kill -HUP $MAINPID\n";

const NGINX_CONF: &str = "worker_processes 2;\nerror_log /run/nginx.log;\n\
    events { worker_connections 1024; }\n\
    http {\n access_log off;\n\
      upstream app { server KESTREL; keepalive 32; }\n\
      server {\n  listen ADDRESS;\n\
        location / {\n   proxy_pass http://app;\n   proxy_http_version 1.1;\n\
          proxy_set_header Connection \"\";\n   proxy_set_header Host $host;\n  }\n }\n}\n";

/// How an application is replaced.
struct Way {
    name: &'static str,
    /// Started first, in this order.
    units: &'static [&'static str],
    /// `systemctl` with these replaces it.
    replace: &'static [&'static str],
    /// Whether it is ours, which loses nothing.
    is_ours: bool,
}

const WAYS: [Way; 3] = [
    Way { name: "ancm reload", units: &[SERVICE], replace: &["reload", SERVICE], is_ours: true },
    Way {
        name: "ancm restart",
        units: &[SOCKET, SERVICE],
        replace: &["restart", SERVICE],
        is_ours: true,
    },
    Way {
        name: "nginx",
        units: &["kestrel.service", "nginx.service"],
        replace: &["restart", "kestrel.service"],
        is_ours: false,
    },
];

/// `run.number` recycles in each way, with a slow request and a download under way at each.
pub(crate) fn services(run: &Run) -> ExitCode {
    let mut table = Table::new(
        run,
        "services",
        &[
            "way",
            "recycles",
            "seconds",
            "answers",
            "not 200",
            "broken",
            "slow",
            "downloads",
            "damaged",
        ],
    );
    for way in &WAYS {
        recycle(way, run, &mut table);
    }
    table.finish()
}

fn recycle(way: &Way, run: &Run, table: &mut Table<'_>) {
    // A download of a GiB takes longer than the default of ten seconds, and than systemd's patience.
    let app = App::test("Site").model(run.model).attribute("shutdownTimeLimit", "600");
    let machine = Systemd::boot(app);
    machine.set(SERVICE, "[Service]\nTimeoutStopSec=660\n");
    let kestrel = SocketAddr::new(machine.address().ip(), 5000).to_string();
    let text = |text: &str| {
        text.replace("KESTREL", &kestrel).replace("ADDRESS", &machine.address().to_string())
    };
    machine.write("/run/nginx.conf", &text(NGINX_CONF));
    machine.write("/run/systemd/system/kestrel.service", &text(KESTREL));
    machine.write("/run/systemd/system/nginx.service", NGINX);
    machine.systemctl(&["daemon-reload"]);
    for unit in way.units {
        machine.systemctl(&["start", unit]);
    }
    let address = machine.address();
    let process = || {
        let answer = Connection::try_open(address).ok()?.get("/ProcessId");
        (answer.status() == 200).then(|| answer.text())
    };
    let mut last = eventually("the application", process);
    let load = Load::start(address, "/HelloWorld", CLIENTS, CLIENTS);
    load.wait_for_more(100);
    let mut beside = Beside::new(address);
    let begun = Instant::now();
    for _ in 0..run.number {
        beside.begin();
        machine.systemctl(way.replace);
        last = eventually("another process", || process().filter(|it| *it != last));
    }
    let seconds = begun.elapsed().as_secs_f64();
    load.wait_for_more(20);
    beside.finish();
    let tally = load.stop();
    let answers: usize = tally.statuses.values().sum();
    let not_200 = answers - tally.statuses.get(&200).copied().unwrap_or(0);
    table.row(vec![
        json!(way.name),
        json!(run.number),
        json!(seconds),
        json!(answers),
        json!(not_200),
        json!(tally.broken.len()),
        json!(beside.slow_begun),
        json!(beside.downloads_begun),
        json!(beside.failures.len()),
    ]);
    if way.is_ours {
        table.expect_lossless(way.name, &tally, &[200]);
        beside.failures.iter().for_each(|failure| table.fail(format!("{}: {failure}", way.name)));
    }
    for unit in way.units.iter().rev() {
        machine.systemctl(&["stop", unit]);
    }
}
