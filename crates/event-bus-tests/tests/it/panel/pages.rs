//! Each page of `event-bus up`, as a browser shows it: for everybody, and as a picture where one is wanted.

use std::fs;
use std::path::Path;
use std::time::Duration;

use event_bus::store::Store;
use event_bus_ops::access::route::Verb;
use event_bus_ops::panel;
use event_bus_tests::chromium::Chromium;
use event_bus_tests::eventually::eventually;
use event_bus_tests::process::{Ended, Process};
use event_bus_tests::servers;
use serde_json::Value;

use super::served::{PASSWORD, signs_in};
use super::visitor::Visitor;

const SOON: Duration = Duration::from_secs(90);

/// Whose outbox has a row that can't be sent.
const RETAILER: &str = "retailer";

/// What is shown to nobody as a page.
const NO_PAGES: [&str; 9] = [
    "/",
    "/assets/{name}",
    "/sign-in/oidc",
    "/sign-in/oidc/callback",
    "/events/groups/{group}/lag",
    "/events/dead-letters/export",
    "/events/dead-letters/{id}/raw",
    "/events/live/stream",
    "/events/replays/{id}/progress",
];

/// A desk's width and height, and a phone's.
const DESK: (u32, u32) = (1_280, 800);
const PHONE: (u32, u32) = (390, 844);
/// A picture is no higher than this.
const PICTURE: u32 = 1_400;

/// What axe-core finds at these levels keeps somebody from using the page.
const LEVELS: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']";

/// What the pages are about.
struct Known {
    letter: String,
    fingerprint: String,
    replay: String,
    invitation: String,
    group: String,
}

impl Known {
    /// Where a page is of what there is.
    fn address(&self, path: &str) -> String {
        let id = if path.starts_with("/events/replays") { &self.replay } else { &self.letter };
        let address = path.replace("{id}", id).replace("{name}", "bob");
        let address = address.replace("{group}", &self.group).replace("{event}", "OrderPlaced");
        let address = address.replace("{service}", RETAILER);
        assert!(!address.contains('{'), "say here which {path} is looked at");
        let query = match path {
            "/welcome" => format!("token={}", self.invitation),
            "/events/dead-letters/notes" => format!("fingerprint={}", self.fingerprint),
            "/events/dead-letters/replay" | "/events/dead-letters/discard" => {
                "state=open".to_owned()
            }
            "/events/groups/{group}/reset" => "to=latest".to_owned(),
            "/events/dead-letters/restore" => "state=discarded".to_owned(),
            // Of whom nothing comes meanwhile.
            "/events/live" => "tenant=nobody".to_owned(),
            _ => return address,
        };
        format!("{address}?{query}")
    }

    /// Does what leaves something to be seen on each page.
    async fn make(ann: &mut Visitor) -> Self {
        // Several causes, one of which was tried for some time.
        let of = async |reason: &str| {
            let path = format!("/events/dead-letters/list?state=open&reason={reason}");
            let list = async || {
                let list = ann.clone().get(&path).await;
                if list.shows("name=\"id\"") { Ok(list.field("id")) } else { Err(list.body) }
            };
            eventually(SOON, list).await
        };
        of("retries-exhausted").await;
        let (letter, other) = (of("schema-invalid").await, of("rejected").await);
        let page = ann.get(&format!("/events/dead-letters/{letter}")).await;
        let fingerprint = page.between("/events/dead-letters/list?fingerprint=", "\"").to_owned();
        let text = "The margin of retailers is being looked into. Do not replay before Monday.";
        let note = [("fingerprint", &*fingerprint), ("text", text)];
        assert_eq!(ann.post("/events/dead-letters/notes", &note).await.status, 303);

        let plan = ann.get(&format!("/events/dead-letters/replay?id={other}")).await;
        let names = ["query", "id", "planned", "canary", "max-dead"];
        let fields = names.map(|name| (name, plan.field(name)));
        let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
        let fields: Vec<(&str, &str)> = fields.chain([("reason", "to see what comes")]).collect();
        let asked = ann.post("/events/dead-letters/replay", &fields).await;
        let replay = asked.header("location").rsplit('/').next().unwrap_or_default().to_owned();

        ann.get("/access/users").await;
        let bob = [("name", "bob"), ("role", "operator"), ("tenants", "hillarys, louvolite")];
        let made = ann.post("/access/users", &bob).await;
        let invitation = made.between("/welcome?token=", "<").to_owned();
        let groups = ann.get("/events/groups").await;
        let group = groups.between("href=\"/events/groups/", "\"").to_owned();
        Self { letter, fingerprint, replay, invitation, group }
    }
}

/// Leaves a row in the retailer's outbox that can't be sent.
async fn set_aside(folder: &Path) {
    let database = folder.join(format!("services/blindstrader/{RETAILER}.db"));
    let url = format!("sqlite://{}", database.to_str().expect("the path is text"));
    let store = Store::open_existing(&url).await.expect("the service has made it");
    let mut tx = store.begin().await.expect("a transaction begins");
    let row = "INSERT INTO outbox (event_id, topic, record_key, headers, status, error)
        VALUES ('0197f3b4-7c1e-7b1a-9d55-0c7a3f1f2a10', 'blindstrader.order.placed',
                CAST('hillarys/o-100234' AS BLOB), '[[\"ce_tenantid\",\"hillarys\"]]', 'quarantined',
                'Kafka refuses this record for good: it is larger than the topic takes')";
    tx.execute(row, &[]).await.expect("it is written");
    tx.commit().await.expect("it commits");
    store.close().await;
}

/// Follows the link of the first administrator.
async fn sets_up(link: &str) -> Visitor {
    let (address, path) =
        link.trim_start_matches("http://").split_once('/').expect("it has a path");
    let mut ann = Visitor::new(address.parse().expect("it is an address"));
    let token = path.split_once("token=").expect("it has a token").1;
    let chosen = [("token", token), ("name", "ann"), ("password", PASSWORD), ("again", PASSWORD)];
    assert_eq!(ann.post("/welcome", &chosen).await.status, 303);
    ann.get("/account").await;
    ann
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_page_is_for_everybody() {
    let (axe, pictures) = (servers::axe(), servers::pictures());
    let data = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = data.path().to_str().expect("the path is text");
    let free = "127.0.0.1:0";
    let mut up = Process::start(&[
        "up",
        "--output",
        "json",
        "--http",
        free,
        "--kafka",
        free,
        "--data",
        folder,
        "--seed-failures",
    ]);
    let ready: Value = serde_json::from_str(&up.line().await).expect("it is JSON");
    let link = ready["set_up"].as_str().expect("nobody is there yet");
    let mut ann = sets_up(link).await;
    set_aside(data.path()).await;
    let known = Known::make(&mut ann).await;

    let browser = Chromium::start().await;
    browser.resize(DESK.0, DESK.1).await;
    let site = ann.origin();
    signs_in(&browser, &site, "ann").await;

    let is_page = |path: &str| !NO_PAGES.contains(&path);
    let routes = panel::ROUTES.iter().filter(|route| route.verb == Verb::Get);
    let mut barriers = Vec::new();
    for path in routes.map(|route| route.path).filter(|path| is_page(path)) {
        let address = known.address(path);
        for size in [DESK, PHONE] {
            browser.resize(size.0, size.1).await;
            browser.open(&format!("{site}{address}")).await;
            let told = |barrier: String| format!("{path} of {} pixels: {barrier}", size.0);
            barriers.extend(jumps(&browser).await.map(told));
            barriers.extend(keyboard(&browser).await.into_iter().map(told));
            for scheme in ["light", "dark"] {
                browser.prefer(scheme).await;
                let told =
                    |barrier: String| format!("{path} {scheme} of {} pixels: {barrier}", size.0);
                barriers.extend(violations(&browser, &axe).await.into_iter().map(told));
                if let Some(pictures) = pictures.as_deref().filter(|_| size == DESK) {
                    draw(&browser, pictures, path, scheme).await;
                }
            }
        }
    }
    if pictures.is_some() {
        NO_PAGES.iter().for_each(|path| println!("no picture of {path}, which is no page"));
    }
    assert!(barriers.is_empty(), "\n{}", barriers.join("\n"));
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    browser.quit().await;
    up.signal_group("INT").await;
    let Ended { status, stderr, .. } = up.ended().await;
    assert_eq!(status.code(), Some(0), "{stderr}");
}

/// What axe-core has against a page. Its script is no page's: the browser runs it past their policy.
async fn violations(browser: &Chromium, axe: &str) -> Vec<String> {
    let script = format!(
        "{axe}; document.activeElement?.blur(); return axe.run(document, {{ runOnly: {LEVELS}, resultTypes: ['violations'] }}).then(found => \
           found.violations.flatMap(rule => rule.nodes.map(node => \
             `${{rule.id}}: ${{node.html}} ${{node.failureSummary}}`)))"
    );
    texts(&browser.run(&script).await)
}

/// Whether what is there moved while the page came, by more than people bear (0.1, web.dev/cls).
async fn jumps(browser: &Chromium) -> Option<String> {
    let script = "return new Promise(told => {
        let sum = 0;
        new PerformanceObserver(list => {
            for (const shift of list.getEntries()) sum += shift.hadRecentInput ? 0 : shift.value;
        }).observe({ type: 'layout-shift', buffered: true });
        requestAnimationFrame(() => requestAnimationFrame(() => told(sum)));
    })";
    let sum = browser.run(script).await.as_f64().expect("it is a number");
    (sum > 0.1).then(|| format!("its parts moved by {sum}"))
}

/// What the keyboard does not reach, or not in its order, or without it being seen.
///
/// A part of the page that comes meanwhile takes the place of what was to be reached: then all is tried again.
async fn keyboard(browser: &Chromium) -> Vec<String> {
    eventually(SOON, async || tabbed(browser).await).await
}

/// # Errors
/// When other controls are there in the end than there were at the start.
async fn tabbed(browser: &Chromium) -> Result<Vec<String>, String> {
    let script = "
        window.reached = [];
        window.watching?.abort();
        window.watching = new AbortController();
        document.addEventListener('focusin', event => {
            const style = getComputedStyle(event.target);
            const is_seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
            window.reached.push([event.target, is_seen]);
        }, { signal: window.watching.signal });
        const all = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]';
        window.listed = () => [...document.querySelectorAll(all)].filter(one =>
            one.checkVisibility() && !one.disabled && one.tabIndex >= 0);
        window.controls = window.listed();
        return window.controls.length";
    let controls = browser.run(script).await.as_u64().expect("it is a number");
    let controls = usize::try_from(controls).expect("it is small");
    // From wherever the focus is, all come in a row within two rounds.
    browser.tab(2 * controls + 2).await;
    let script = "
        const now = window.listed();
        if (now.length !== window.controls.length || now.some((one, at) => one !== window.controls[at]))
            return null;
        const name = one => one.outerHTML.slice(0, 120);
        const first = window.reached.findIndex(([one]) => one === window.controls[0]);
        const row = window.reached.slice(first, first + window.controls.length);
        const wrong = [];
        window.controls.forEach((one, at) => {
            if (row[at] === undefined || row[at][0] !== one)
                wrong.push(`by keyboard it is not the next: ${name(one)}`);
            else if (!row[at][1]) wrong.push(`it is not seen that it has the focus: ${name(one)}`);
        });
        return first < 0 ? ['nothing is reached by keyboard'] : wrong.slice(0, 3)";
    let wrong = browser.run(script).await;
    if wrong.is_null() { Err("the page goes on changing".to_owned()) } else { Ok(texts(&wrong)) }
}

fn texts(told: &Value) -> Vec<String> {
    let told = told.as_array().unwrap_or_else(|| panic!("{told}"));
    told.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
}

/// Leaves a picture of the page.
async fn draw(browser: &Chromium, pictures: &Path, path: &str, scheme: &str) {
    let high = browser.run("return document.documentElement.scrollHeight").await;
    let high = high.as_u64().and_then(|high| u32::try_from(high).ok()).expect("it is a number");
    let picture = browser.picture(DESK.0, high.clamp(DESK.1 / 2, PICTURE)).await;
    let name = path.trim_start_matches('/').replace(['{', '}'], "").replace('/', "-");
    let file = pictures.join(format!("{name}-{scheme}.webp"));
    fs::write(&file, decoded(&picture)).unwrap_or_else(|error| panic!("{file:?}: {error}"));
}

/// Of base64 (RFC 4648).
fn decoded(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(value).collect();
    let whole = |four: &[u8]| {
        let bits = four
            .iter()
            .enumerate()
            .fold(0_u32, |bits, (at, digit)| bits | u32::from(*digit) << (18 - 6 * at));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(whole).collect()
}
