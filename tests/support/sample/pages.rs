//! What the sample's authorization server shows to people: a consent page that works without JavaScript.

/// Text between tags or in an attribute.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page that asks for consent; `asked` is the query of the authorization request.
pub fn consent(client: &str, scope: &str, asked: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sample service: consent</title>
<h1>Let {client} act for you?</h1>
<p>It asks for: {scope}</p>
<form method="post" action="/as/consent">
  <input type="hidden" name="asked" value="{asked}">
  <p><label>Your name at the sample service<br><input name="subject" required></label></p>
  <p><button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></p>
</form>
</html>
"#,
        client = escaped(client),
        scope = escaped(scope),
        asked = escaped(asked),
    )
}
