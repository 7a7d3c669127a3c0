//! The web pages: plain files, embedded in the program, without a framework or a build step. The
//! services send these files; all code of a page runs in the browser.
//!
//! * `storefront/`: the shop. The front-end serves it at `/`.
//! * `cluster/`: the state of the store and its controls. `run-all` serves it.
//! * `shared/`: the colours, the pictures of the toys, and the requests to the store.
//!
//! - Paths are relative, also within the pages, so that a page works below any path that ends in `/`.
//! - The `Content-Security-Policy` makes a browser load and run only files from the same address. So a
//!   script in a toy's name is never run.

use crate::http::Responder;

/// A page: its HTML file, at the path `[""]`, and the files that it loads.
pub struct Page {
    /// All files.
    pub files: &'static [File],
}

/// A file of a page.
pub struct File {
    /// Its path, relative to the page. Empty for the HTML file.
    pub path: &'static str,
    content_type: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

/// The shop.
pub static STOREFRONT: Page = Page {
    files: &[
        html("", include_bytes!("storefront/index.html")),
        css("assets/storefront.css", include_bytes!("storefront/storefront.css")),
        js("assets/storefront.js", include_bytes!("storefront/storefront.js")),
        js("assets/shelf.js", include_bytes!("storefront/shelf.js")),
        js("assets/slip.js", include_bytes!("storefront/slip.js")),
        js("assets/purchase.js", include_bytes!("storefront/purchase.js")),
        js("assets/orders.js", include_bytes!("storefront/orders.js")),
        js("assets/visit.js", include_bytes!("storefront/visit.js")),
        ASK,
        PICTURE,
        ICON,
        THEME,
        TOYS,
    ],
};

/// The cluster page.
pub static CLUSTER: Page = Page {
    files: &[
        html("", include_bytes!("cluster/index.html")),
        css("assets/cluster.css", include_bytes!("cluster/cluster.css")),
        css("assets/life.css", include_bytes!("cluster/life.css")),
        js("assets/cluster.js", include_bytes!("cluster/cluster.js")),
        js("assets/database.js", include_bytes!("cluster/database.js")),
        js("assets/diagram.js", include_bytes!("cluster/diagram.js")),
        js("assets/services.js", include_bytes!("cluster/services.js")),
        js("assets/controls.js", include_bytes!("cluster/controls.js")),
        js("assets/toys.js", include_bytes!("cluster/toys.js")),
        js("assets/charts.js", include_bytes!("cluster/charts.js")),
        js("assets/events.js", include_bytes!("cluster/events.js")),
        js("assets/life.js", include_bytes!("cluster/life.js")),
        js("assets/sequence.js", include_bytes!("cluster/sequence.js")),
        js("assets/explanations.js", include_bytes!("cluster/explanations.js")),
        js("assets/states.js", include_bytes!("cluster/states.js")),
        js("assets/svg.js", include_bytes!("cluster/svg.js")),
        ASK,
        PICTURE,
        ICON,
        THEME,
        TOYS,
    ],
};

const ASK: File = js("assets/ask.js", include_bytes!("shared/ask.js"));
const PICTURE: File = js("assets/picture.js", include_bytes!("shared/picture.js"));
const ICON: File = svg("assets/icon.svg", include_bytes!("shared/icon.svg"));
const THEME: File = css("assets/theme.css", include_bytes!("shared/theme.css"));
const TOYS: File = svg("assets/toys.svg", include_bytes!("shared/toys.svg"));

/// `nosniff` makes the browser use the given content type. `no-referrer` keeps the address of the page secret, because
/// the address of the cluster page contains its token.
const SECURITY: [(&str, &str); 3] = [
    (
        "Content-Security-Policy",
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
];

impl Page {
    /// The file at the decoded segments of a path, if there is one.
    pub fn file(&self, path: &[&str]) -> Option<&'static File> {
        self.files.iter().find(|file| file.path.split('/').eq(path.iter().copied()))
    }
}

/// Sends a file. Returns the status, for the access log.
pub fn send(responder: Responder<'_>, file: &File) -> u16 {
    let [policy, sniffing, referrer] = SECURITY;
    let headers = [("Content-Type", file.content_type), policy, sniffing, referrer];
    responder.send(200, &headers, file.bytes);
    200
}

const fn html(path: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type: "text/html; charset=utf-8", bytes }
}

const fn css(path: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type: "text/css; charset=utf-8", bytes }
}

const fn js(path: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type: "text/javascript; charset=utf-8", bytes }
}

const fn svg(path: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type: "image/svg+xml", bytes }
}
