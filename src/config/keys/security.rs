//! Who may do what: TLS, SASL, delegation tokens, authorizer. None of it is served yet.

use super::Key;
use super::row::{boolean, class, double, int, list, long, password, short, string};

#[rustfmt::skip] // a table: a row is a line of facts and a line of prose
pub(super) const KEYS: &[Key] = &[
    string("authorizer.class.name").default("")
        .doc("The authorizer, by its Java class. Empty: everything is allowed."),
    class("principal.builder.class").default("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder").per_broker()
        .doc("The Java class that makes a principal of a connection. There is no JVM here to run it."),
    long("connections.max.reauth.ms").default("0")
        .doc("Milliseconds after which a client must log in again. 0: never."),
    int("connection.failed.authentication.delay.ms").default("100").at_least(0)
        .doc("Milliseconds before the answer to a failed login."),
    string("security.providers")
        .doc("Java security providers. There is no JVM here to run them."),
    password("delegation.token.secret.key")
        .doc("The secret that signs delegation tokens, the same on each broker. Unset: no tokens."),
    long("delegation.token.expiry.time.ms").default("86400000").at_least(1)
        .doc("Milliseconds for which a token holds without being renewed."),
    long("delegation.token.max.lifetime.ms").default("604800000").at_least(1)
        .doc("Milliseconds after which a token can no longer be renewed."),
    long("delegation.token.expiry.check.interval.ms").default("3600000").at_least(1)
        .doc("Milliseconds between two looks for expired tokens."),
    string("ssl.keystore.location").per_broker()
        .doc("The file with this broker's key and certificates."),
    string("ssl.keystore.type").default("JKS").per_broker()
        .doc("The format of the key store: JKS, PKCS12 or PEM."),
    password("ssl.keystore.password").per_broker()
        .doc("The password of the key store."),
    password("ssl.keystore.key").per_broker()
        .doc("This broker's key itself, as PEM, in place of a file."),
    password("ssl.keystore.certificate.chain").per_broker()
        .doc("This broker's certificates themselves, as PEM, in place of a file."),
    password("ssl.key.password").per_broker()
        .doc("The password of the key in the key store."),
    string("ssl.truststore.location").per_broker()
        .doc("The file with the certificates to trust."),
    string("ssl.truststore.type").default("JKS").per_broker()
        .doc("The format of the trust store: JKS, PKCS12 or PEM."),
    password("ssl.truststore.password").per_broker()
        .doc("The password of the trust store."),
    password("ssl.truststore.certificates").per_broker()
        .doc("The certificates to trust themselves, as PEM, in place of a file."),
    string("ssl.client.auth").default("none").choices(&["required", "requested", "none"]).per_broker()
        .doc("Whether clients show a certificate: required, requested or none."),
    string("ssl.principal.mapping.rules").default("DEFAULT")
        .doc("Rules that make a user name of a certificate's subject."),
    string("ssl.protocol").default("TLSv1.3").per_broker()
        .doc("The version of TLS to start from."),
    list("ssl.enabled.protocols").default("TLSv1.2,TLSv1.3").per_broker()
        .doc("The versions of TLS to speak."),
    list("ssl.cipher.suites").default("").per_broker()
        .doc("The cipher suites to offer. Empty: those of the TLS library."),
    string("ssl.endpoint.identification.algorithm").default("https").per_broker()
        .doc("How a server's name is checked against its certificate: https, or empty for not at all."),
    boolean("ssl.allow.dn.changes").default("false")
        .doc("Whether a certificate changed at run time may carry another subject."),
    boolean("ssl.allow.san.changes").default("false")
        .doc("Whether a certificate changed at run time may carry other alternative names."),
    string("ssl.provider").per_broker()
        .doc("The Java provider of TLS. There is no JVM here to run it."),
    class("ssl.engine.factory.class").per_broker()
        .doc("The Java class that sets TLS up. There is no JVM here to run it."),
    string("ssl.keymanager.algorithm").default("SunX509").per_broker()
        .doc("How Java handles keys. There is no JVM here."),
    string("ssl.trustmanager.algorithm").default("PKIX").per_broker()
        .doc("How Java handles trust. There is no JVM here."),
    string("ssl.secure.random.implementation").per_broker()
        .doc("Java's source of random numbers. There is no JVM here."),
    list("sasl.enabled.mechanisms").default("GSSAPI").per_broker()
        .doc("The ways of logging in that are offered."),
    string("sasl.mechanism.inter.broker.protocol").default("GSSAPI").per_broker()
        .doc("The way brokers log in to each other."),
    string("sasl.mechanism.controller.protocol").default("GSSAPI")
        .doc("The way brokers log in to controllers."),
    password("sasl.jaas.config").per_broker()
        .doc("Users and secrets of one listener and mechanism, in JAAS form."),
    int("sasl.server.max.receive.size").default("524288")
        .doc("Bytes of the largest request before a client has logged in."),
    class("sasl.server.callback.handler.class")
        .doc("The Java class that checks logins. There is no JVM here to run it."),
    class("sasl.client.callback.handler.class")
        .doc("The Java class that answers for the broker when it logs in. There is no JVM here to run it."),
    class("sasl.login.callback.handler.class")
        .doc("The Java class that fetches the broker's credentials. There is no JVM here to run it."),
    class("sasl.login.class")
        .doc("The Java class that logs the broker in. There is no JVM here to run it."),
    int("sasl.login.connect.timeout.ms")
        .doc("Milliseconds to wait for a connection to the identity provider."),
    int("sasl.login.read.timeout.ms")
        .doc("Milliseconds to wait for the identity provider's answer."),
    long("sasl.login.retry.backoff.ms").default("100")
        .doc("Milliseconds before a login at the identity provider is tried again."),
    long("sasl.login.retry.backoff.max.ms").default("10000")
        .doc("Milliseconds to which the wait between logins at the identity provider may grow."),
    double("sasl.login.refresh.window.factor").default("0.8").per_broker()
        .doc("Share of a credential's life after which a new one is fetched, 0.5 to 1."),
    double("sasl.login.refresh.window.jitter").default("0.05").per_broker()
        .doc("Random share of a credential's life added to its refresh window, 0 to 0.25."),
    short("sasl.login.refresh.min.period.seconds").default("60").per_broker()
        .doc("Seconds to leave at least between two fetches of a credential."),
    short("sasl.login.refresh.buffer.seconds").default("300").per_broker()
        .doc("Seconds before a credential's end by which a new one should be there."),
    string("sasl.kerberos.service.name").per_broker()
        .doc("The Kerberos name that brokers run under."),
    string("sasl.kerberos.kinit.cmd").default("/usr/bin/kinit").per_broker()
        .doc("Where kinit is."),
    list("sasl.kerberos.principal.to.local.rules").default("DEFAULT").per_broker()
        .doc("Rules that make a user name of a Kerberos principal."),
    long("sasl.kerberos.min.time.before.relogin").default("60000").per_broker()
        .doc("Milliseconds to leave at least between two Kerberos logins."),
    double("sasl.kerberos.ticket.renew.window.factor").default("0.8").per_broker()
        .doc("Share of a ticket's life after which it is renewed."),
    double("sasl.kerberos.ticket.renew.jitter").default("0.05").per_broker()
        .doc("Random share of a ticket's life added before it is renewed."),
    string("sasl.oauthbearer.token.endpoint.url")
        .doc("Where tokens are fetched."),
    string("sasl.oauthbearer.scope")
        .doc("The scope to ask for with a token."),
    string("sasl.oauthbearer.client.credentials.client.id")
        .doc("Who asks for a token: the id at the identity provider."),
    password("sasl.oauthbearer.client.credentials.client.secret")
        .doc("The secret that goes with sasl.oauthbearer.client.credentials.client.id."),
    class("sasl.oauthbearer.jwt.retriever.class").default("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever")
        .doc("The Java class that fetches tokens. There is no JVM here to run it."),
    class("sasl.oauthbearer.jwt.validator.class").default("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator")
        .doc("The Java class that checks tokens. There is no JVM here to run it."),
    string("sasl.oauthbearer.jwks.endpoint.url")
        .doc("Where the keys that tokens are checked with are found."),
    long("sasl.oauthbearer.jwks.endpoint.refresh.ms").default("3600000")
        .doc("Milliseconds for which the keys that tokens are checked with are kept before they are fetched again."),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms").default("100")
        .doc("Milliseconds before a failed fetch of the keys that tokens are checked with is tried again."),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms").default("10000")
        .doc("Milliseconds to which the wait between fetches of the keys that tokens are checked with may grow."),
    list("sasl.oauthbearer.expected.audience").default("")
        .doc("The audiences of which a token must name one."),
    string("sasl.oauthbearer.expected.issuer")
        .doc("The issuer that a token must name."),
    int("sasl.oauthbearer.clock.skew.seconds").default("30")
        .doc("Seconds by which the identity provider's clock may be off."),
    string("sasl.oauthbearer.scope.claim.name").default("scope")
        .doc("The claim of a token that holds its scope."),
    string("sasl.oauthbearer.sub.claim.name").default("sub")
        .doc("The claim of a token that holds the user name."),
    string("sasl.oauthbearer.assertion.file")
        .doc("A ready-made assertion to ask for tokens with."),
    string("sasl.oauthbearer.assertion.private.key.file")
        .doc("The key to sign an assertion with, as PEM."),
    password("sasl.oauthbearer.assertion.private.key.passphrase")
        .doc("The password of the key that signs an assertion."),
    string("sasl.oauthbearer.assertion.template.file")
        .doc("The file with an assertion's other headers and claims."),
    string("sasl.oauthbearer.assertion.algorithm").default("RS256").choices(&["ES256", "RS256"]).any_case()
        .doc("How an assertion is signed: RS256 or ES256."),
    string("sasl.oauthbearer.assertion.claim.aud")
        .doc("The audience that an assertion names."),
    string("sasl.oauthbearer.assertion.claim.iss")
        .doc("The issuer that an assertion names."),
    string("sasl.oauthbearer.assertion.claim.sub")
        .doc("The subject that an assertion names."),
    int("sasl.oauthbearer.assertion.claim.exp.seconds").default("300").between(0.0, 86400.0)
        .doc("Seconds from now at which an assertion ends."),
    int("sasl.oauthbearer.assertion.claim.nbf.seconds").default("60").between(0.0, 3600.0)
        .doc("Seconds before now from which an assertion holds."),
    boolean("sasl.oauthbearer.assertion.claim.jti.include").default("false")
        .doc("Whether an assertion carries an id of its own."),
];
