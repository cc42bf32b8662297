//! The table of shapes: what a secret of a known maker begins with, and what follows.
//!
//! The forms are those that the makers document, or that the rules of gitleaks (MIT) and of GitHub's secret scanning have.
//! Identifiers that their makers call public (Stripe's `pk_`, Twilio's account `AC…`, Google's client ids) are none.

use super::found::Rule;

/// The characters that a secret consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `0-9A-Za-z`
    Alnum,
    /// The same and `_`.
    Word,
    /// The same and `-`.
    Url,
    /// The same and `.` and `~`.
    Dotted,
    /// `0-9A-Z`
    Upper,
    /// `0-9a-fA-F`
    Hex,
    /// `0-9A-Za-z+/=`
    Base64,
    /// What a part of a URL has: all of `Dotted`, `Base64`, and `%`.
    Part,
}

impl Class {
    /// How many classes there are.
    pub const COUNT: usize = 8;

    /// Whether a byte is of the class.
    pub const fn has(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~'),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Part => Self::Dotted.has(byte) || matches!(byte, b'+' | b'/' | b'=' | b'%'),
        }
    }
}

/// A secret that begins with something known.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The rule's name: the maker.
    pub rule: Rule,
    /// What it begins with.
    pub begin: &'static str,
    /// What follows.
    pub class: Class,
    /// How many of them at least.
    pub least: usize,
}

const fn shape(rule: Rule, begin: &'static str, class: Class, least: usize) -> Shape {
    Shape { rule, begin, class, least }
}

/// Every secret that begins with something known. It may stand behind a letter or digit only where what it begins with is
/// like no word's end: see [`Shape::is_distinct`].
pub const SHAPES: &[Shape] = &[
    // Clouds.
    shape("aws", "AKIA", Class::Upper, 16),
    shape("aws", "ASIA", Class::Upper, 16),
    shape("aws", "ABIA", Class::Upper, 16),
    shape("aws", "ACCA", Class::Upper, 16),
    shape("aws", "ABSK", Class::Base64, 100),
    shape("aws", "bedrock-api-key-", Class::Base64, 16),
    shape("aws", "X-Amz-Signature=", Class::Hex, 32),
    shape("aws", "X-Amz-Security-Token=", Class::Part, 16),
    shape("aws", "X-Amz-Credential=", Class::Part, 16),
    shape("gcp", "AIza", Class::Url, 35),
    shape("gcp", "GOCSPX-", Class::Url, 20),
    shape("gcp", "ya29.", Class::Url, 20),
    shape("gcp", "1//0", Class::Url, 30),
    shape("gcp", "X-Goog-Signature=", Class::Hex, 32),
    shape("azure", "AccountKey=", Class::Base64, 40),
    shape("azure", "SharedAccessKey=", Class::Base64, 40),
    shape("azure", "SharedAccessSignature=", Class::Part, 40),
    shape("azure", "&sig=", Class::Part, 40),
    shape("azure", "?sig=", Class::Part, 40),
    shape("alibaba", "LTAI", Class::Alnum, 17),
    shape("digitalocean", "dop_v1_", Class::Hex, 32),
    shape("digitalocean", "doo_v1_", Class::Hex, 32),
    shape("digitalocean", "dor_v1_", Class::Hex, 32),
    shape("heroku", "HRKU-", Class::Url, 30),
    shape("fly", "fm1r_", Class::Base64, 40),
    shape("fly", "fm2_", Class::Base64, 40),
    // Code and packages.
    shape("github", "ghp_", Class::Alnum, 30),
    shape("github", "gho_", Class::Alnum, 30),
    shape("github", "ghu_", Class::Alnum, 30),
    shape("github", "ghs_", Class::Alnum, 30),
    shape("github", "ghr_", Class::Alnum, 30),
    shape("github", "github_pat_", Class::Word, 30),
    shape("gitlab", "glpat-", Class::Dotted, 20),
    shape("gitlab", "gldt-", Class::Url, 20),
    shape("gitlab", "glrt-", Class::Dotted, 20),
    shape("gitlab", "glcbt-", Class::Url, 20),
    shape("gitlab", "glptt-", Class::Url, 20),
    shape("gitlab", "glft-", Class::Url, 20),
    shape("gitlab", "glimt-", Class::Url, 20),
    shape("gitlab", "glsoat-", Class::Url, 20),
    shape("gitlab", "glagent-", Class::Url, 20),
    shape("gitlab", "gloas-", Class::Url, 20),
    shape("gitlab", "glffct-", Class::Url, 20),
    shape("gitlab", "GR1348941", Class::Url, 20),
    shape("bitbucket", "ATBB", Class::Alnum, 28),
    shape("atlassian", "ATATT3", Class::Part, 40),
    shape("atlassian", "ATCTT3", Class::Part, 40),
    shape("npm", "npm_", Class::Alnum, 36),
    shape("pypi", "pypi-AgE", Class::Url, 50),
    shape("rubygems", "rubygems_", Class::Hex, 32),
    shape("docker", "dckr_pat_", Class::Url, 20),
    shape("docker", "dckr_oat_", Class::Url, 20),
    shape("jfrog", "AKCp", Class::Alnum, 60),
    shape("sonar", "sqp_", Class::Hex, 40),
    shape("sonar", "squ_", Class::Hex, 40),
    shape("terraform", "atlasv1.", Class::Url, 50),
    shape("vault", "hvs.", Class::Url, 20),
    shape("vault", "hvb.", Class::Url, 20),
    shape("pulumi", "pul-", Class::Hex, 40),
    shape("doppler", "dp.pt.", Class::Alnum, 36),
    shape("doppler", "dp.st.", Class::Dotted, 36),
    shape("tailscale", "tskey-", Class::Url, 20),
    shape("vercel", "vcp_", Class::Alnum, 20),
    shape("netlify", "nfp_", Class::Alnum, 30),
    shape("age", "AGE-SECRET-KEY-1", Class::Upper, 40),
    // Messages and people.
    shape("slack", "xoxb-", Class::Url, 10),
    shape("slack", "xoxp-", Class::Url, 10),
    shape("slack", "xoxa-", Class::Url, 10),
    shape("slack", "xoxr-", Class::Url, 10),
    shape("slack", "xoxs-", Class::Url, 10),
    shape("slack", "xoxc-", Class::Url, 10),
    shape("slack", "xoxd-", Class::Part, 10),
    shape("slack", "xoxe-", Class::Url, 10),
    shape("slack", "xoxe.xox", Class::Url, 10),
    shape("slack", "xapp-", Class::Url, 10),
    shape("slack", "hooks.slack.com/services/", Class::Part, 20),
    shape("slack", "hooks.slack.com/workflows/", Class::Part, 20),
    shape("discord", "discord.com/api/webhooks/", Class::Part, 30),
    shape("teams", ".webhook.office.com/webhookb2/", Class::Part, 30),
    shape("sendgrid", "SG.", Class::Dotted, 60),
    shape("twilio", "SK", Class::Hex, 32),
    shape("brevo", "xkeysib-", Class::Url, 40),
    shape("linear", "lin_api_", Class::Alnum, 30),
    shape("linear", "lin_oauth_", Class::Alnum, 30),
    shape("notion", "ntn_", Class::Alnum, 40),
    shape("notion", "secret_", Class::Alnum, 40),
    shape("figma", "figd_", Class::Url, 30),
    shape("airtable", "pat", Class::Dotted, 79),
    shape("hubspot", "pat-na1-", Class::Url, 30),
    shape("hubspot", "pat-eu1-", Class::Url, 30),
    shape("dropbox", "sl.", Class::Url, 60),
    shape("postman", "PMAK-", Class::Url, 50),
    shape("contentful", "CFPAT-", Class::Url, 40),
    // Money.
    shape("stripe", "sk_live_", Class::Alnum, 10),
    shape("stripe", "sk_test_", Class::Alnum, 10),
    shape("stripe", "rk_live_", Class::Alnum, 10),
    shape("stripe", "rk_test_", Class::Alnum, 10),
    shape("stripe", "whsec_", Class::Base64, 20),
    shape("square", "sq0atp-", Class::Url, 22),
    shape("square", "sq0csp-", Class::Url, 40),
    shape("shopify", "shpat_", Class::Hex, 32),
    shape("shopify", "shpca_", Class::Hex, 32),
    shape("shopify", "shppa_", Class::Hex, 32),
    shape("shopify", "shpss_", Class::Hex, 32),
    shape("braintree", "access_token$production$", Class::Word, 40),
    shape("razorpay", "rzp_live_", Class::Alnum, 14),
    shape("flutterwave", "FLWSECK", Class::Url, 20),
    // Models.
    shape("anthropic", "sk-ant-", Class::Url, 20),
    shape("openai", "sk-proj-", Class::Url, 20),
    shape("openai", "sk-svcacct-", Class::Url, 20),
    shape("openai", "sk-admin-", Class::Url, 20),
    shape("openrouter", "sk-or-v1-", Class::Hex, 32),
    shape("openai", "sk-", Class::Alnum, 32),
    shape("huggingface", "hf_", Class::Alnum, 30),
    shape("replicate", "r8_", Class::Alnum, 30),
    shape("groq", "gsk_", Class::Alnum, 40),
    shape("xai", "xai-", Class::Alnum, 60),
    shape("perplexity", "pplx-", Class::Alnum, 40),
    shape("langsmith", "lsv2_", Class::Word, 40),
    shape("pinecone", "pcsk_", Class::Word, 40),
    shape("tavily", "tvly-", Class::Url, 28),
    // Data and watching.
    shape("databricks", "dapi", Class::Hex, 32),
    shape("planetscale", "pscale_tkn_", Class::Dotted, 30),
    shape("planetscale", "pscale_pw_", Class::Dotted, 30),
    shape("supabase", "sbp_", Class::Hex, 40),
    shape("supabase", "sb_secret_", Class::Url, 20),
    shape("neon", "napi_", Class::Alnum, 40),
    shape("confluent", "cflt", Class::Base64, 50),
    shape("grafana", "glc_", Class::Base64, 30),
    shape("grafana", "glsa_", Class::Word, 30),
    shape("newrelic", "NRAK-", Class::Alnum, 27),
    shape("newrelic", "NRII-", Class::Url, 32),
    shape("sentry", "sntrys_", Class::Part, 40),
    shape("sentry", "sntryu_", Class::Hex, 40),
    shape("dynatrace", "dt0c01.", Class::Dotted, 60),
    shape("pagerduty", "pdus+", Class::Url, 20),
];

/// A secret that is known by what stands in its middle.
#[derive(Debug, Clone, Copy)]
pub struct Middle {
    /// The rule's name: the maker.
    pub rule: Rule,
    /// What stands in its middle.
    pub sign: &'static str,
    /// What stands before, and how many of them.
    pub before: (Class, usize),
    /// What follows, and how many of them at least.
    pub after: (Class, usize),
}

/// Every secret that is known by its middle.
pub const MIDDLES: &[Middle] = &[
    // Microsoft Entra's client secrets: three characters, a digit, `Q~`.
    Middle { rule: "azure", sign: "8Q~", before: (Class::Dotted, 3), after: (Class::Dotted, 31) },
    Middle { rule: "azure", sign: "7Q~", before: (Class::Dotted, 3), after: (Class::Dotted, 31) },
    Middle { rule: "telegram", sign: ":AA", before: (Class::Alnum, 8), after: (Class::Url, 33) },
    Middle { rule: "terraform", sign: ".atlasv1.", before: (Class::Alnum, 14), after: (Class::Url, 50) },
    Middle { rule: "mailchimp", sign: "-us", before: (Class::Hex, 32), after: (Class::Alnum, 1) },
];

impl Shape {
    /// Whether what it begins with is like no word's end, so that it is found also when glued to letters.
    pub const fn is_distinct(&self) -> bool {
        let begin = self.begin.as_bytes();
        begin.len() >= 4 && !begin[begin.len() - 1].is_ascii_alphanumeric()
    }
}

/// How long the shortest secret of the tables is, with what it is known by.
pub const LEAST: usize = {
    let (mut least, mut at) = (usize::MAX, 0);
    while at < SHAPES.len() + MIDDLES.len() {
        let length = if at < SHAPES.len() {
            SHAPES[at].begin.len() + SHAPES[at].least
        } else {
            let Middle { sign, before, after, .. } = &MIDDLES[at - SHAPES.len()];
            before.1 + sign.len() + after.1
        };
        if length < least {
            least = length;
        }
        at += 1;
    }
    least
};
