//! The words of lost connections: what each library, system and protocol says (the tables in docs/resets.md).

use super::class::Class;

/// What a text must contain to be of a class. Letters' case never decides, but where a pattern says so.
pub(super) struct Pattern {
    pub(super) class: Class,
    pub(super) regex: &'static str,
    /// The record must show that a connection was meant: `EOFException` alone may come from a file.
    pub(super) needs_connection: bool,
    /// A text that has this is not of the class.
    pub(super) unless: Option<&'static str>,
}

const fn plain(class: Class, regex: &'static str) -> Pattern {
    Pattern { class, regex, needs_connection: false, unless: None }
}

/// Which texts are looked at closely: every match of [`PATTERNS`] and [`NOT_UNDERSTOOD`] has one of these. Without regard
/// to the case of ASCII letters.
pub(super) const LITERALS: &[&str] = &[
    "upstream connect error",
    "handshake",
    "tls connection was",
    "violation of protocol",
    "ssl_error_syscall",
    "ssl_connect",
    "failed to respond",
    "nohttpresponse",
    "without response",
    "without sending",
    "hang up",
    "premature",
    "other side closed",
    "und_err_socket",
    "connection reset",
    "connectionreset",
    "connection_reset",
    "net_reset",
    "reset by",
    "was reset",
    "been reset",
    "econnreset",
    "forcibly closed",
    "error 104",
    "errno 104",
    "errno=104",
    "errno: 104",
    "errno: -104",
    "errno\":-104",
    "errno\": -104",
    "(104)",
    "error 54)",
    "errno 54",
    "10054",
    "eofexception",
    "eoferror",
    ": eof",
    "unexpected eof",
    "eof detected",
    "early eof",
    "eof reached",
    "end of stream",
    "end of file",
    "shut down incorrectly",
    "0 bytes from",
    "received no bytes",
    "incompletemessage",
    "incompleteread",
    "incomplete chunked",
    "incomplete_chunked",
    "before message completed",
    "server disconnected",
    "serverdisconnected",
    "closed the connection",
    "closed unexpectedly",
    "unexpectedly lost",
    "close_notify",
    "lost connection",
    "gone away",
    "empty reply",
    "empty_response",
    "connection_closed",
    "connection was closed",
    "underlying connection",
    "connection closed",
    "closed connection",
    "transport is closing",
    "ora-03113",
    "ora-03135",
    "ora-12547",
    "minus one from",
    "before all data",
    "terminated the",
    "connectionclosedexception",
    "httpclosedexception",
    "vertxexception",
    "for unknown reason",
    "socket closed",
    "sent goaway",
    "invalidchunklength",
    "payload is not completed",
    "closed (eof)",
    "terminated unexpectedly",
    "middle of operation",
    "ora-12537",
    "tns:connection",
    "no more data to read",
    "mongonetworkerror",
    "socketclosed",
    "line from the server",
    "read error on connection",
    "terminated during",
    ": disconnected (",
    "unexpected close",
    "closed tcp connection",
    "transfer closed",
    "bytes at eof",
    "transporterror)",
    ":error, :closed",
    "unexpectedly closed",
    "hung up",
    "has closed socket",
    "has been closed",
    "idle connection",
    "full header",
    "valid response",
    "during the request",
    "negotiation",
    "did not return a response",
    "socket disconnected",
    "remoteconnectionclosed",
    "remotely closed",
    "stream has been aborted",
    "aborted pending request",
    "gone inactive",
    "socket_closed_remotely",
    "closed while waiting",
    "serverselectionerror",
    "poison.error) :closed",
    "no close frame",
    "closed abnormally",
    "past the end of the stream",
    "reason: :closed",
    "{error,closed}",
    "{error, closed}",
    "recv: closed",
    "send: closed",
    "(idle): closed",
    "disconnected from node",
    "disconnectexception",
    "connection to broker lost",
    "stream truncation",
    "gnutls recv error",
    "connectionshutdown",
    "stream error",
    "stream was reset",
    "after goaway",
    "closed with error code",
    "goaway_session",
    "h2 protocol error",
    // Of what is not understood.
    "reset the stream",
    "not closed cleanly",
    "broken pipe",
    "epipe",
    "connection abort",
    "econnaborted",
    "connection lost",
    "connection was lost",
    "connection dropped",
    "rst_stream",
    "stream reset",
    "closedchannel",
];

/// As they stand: HAProxy's termination states, and systems' messages in other languages.
pub(super) const EXACT_LITERALS: &[&str] = &[
    " SH-- ",
    " SHVN ",
    " SHNI ",
    " SHVI ",
    " SHDI ",
    " SD-- ",
    " SDVN ",
    " SDNI ",
    " SDVI ",
    " SDDI ",
    "correspondant",
    "zurückgesetzt",
    "Remotehost",
    "reinicializada",
    "host remoto",
    "hôte distant",
    "corrispondente",
    "outra ponta",
    "разорва",
    "разорв",
    "リセット",
    "強制的に",
    "对方重设",
    "對方重設",
    "对端重置",
    "强迫关闭",
    "상대편",
    "원격 호스트",
    "drugą stronę",
    "zdalnego hosta",
];

/// One of these is in each of [`LITERALS`] and [`EXACT_LITERALS`], in whatever case: five bytes and more, of which the first
/// five are rare in logs.
pub(super) const FRAGMENTS: &[&str] = &[
    "reset",
    "ct err",
    "dshak",
    "tls con",
    "viola",
    "ssl_e",
    "ssl_c",
    "spond",
    "thout",
    "lid resp",
    "did not",
    "nohtt",
    "ang up",
    "ung up",
    "remat",
    "und_e",
    "errno",
    "r 104",
    "r 54)",
    "(104)",
    "10054",
    ": eof",
    "d eof",
    "y eof",
    "t eof",
    "eof d",
    "eof r",
    "eofex",
    "eofer",
    "end of",
    "hut down",
    "tes from",
    "no bytes",
    "ncomp",
    "ge comp",
    "re all",
    "disco",
    "close",
    " lost",
    "st con",
    "e away",
    "pty repl",
    "pty_r",
    "derly",
    "rt is c",
    "rterr",
    "ora-0",
    "ora-1",
    "minated",
    "txexc",
    "r unknown",
    "goawa",
    "dchunk",
    "oad is",
    "f oper",
    "tns:c",
    "ore data",
    "gonet",
    "ne from",
    "or on con",
    "dle con",
    "ll head",
    "during",
    "egoti",
    "m trunc",
    "gnutl",
    "onshut",
    "am err",
    "h2 pro",
    "n pipe",
    "epipe",
    "n abort",
    "nnabort",
    "n drop",
    "rst_s",
    " SH--",
    " SHVN",
    " SHNI",
    " SHVI",
    " SHDI",
    " SD--",
    " SDVN",
    " SDNI",
    " SDVI",
    " SDDI",
    "ckgesetzt",
    "oteho",
    "emoto",
    "reini",
    "hôte",
    "outra",
    "разорв",
    "リセット",
    "強制的",
    "对方重",
    "對方重",
    "对端重",
    "强迫关",
    "상대편",
    "원격",
    "drugą",
    "zdaln",
    "borte",
    "inact",
    "ersel",
];

/// In order of precedence, as the classes are. Counted gaps (`[^\n]{0,400}`) cost states for each of their letters, and many
/// of them make all patterns together too large for the fast search: long gaps are not counted.
pub(super) const PATTERNS: &[Pattern] = &[
    plain(Class::UpstreamConnectError, r"upstream connect error or disconnect/reset before headers"),
    plain(
        Class::TlsHandshakeTerminated,
        r"host (?:terminated|closed connection during) (?:the )?handshake|before secure TLS connection was established|EOF occurred in violation of protocol|SSL_connect\b[^\n]{0,40}(?:SYSCALL|reset by peer)|connection closed while SSL/TLS handshake|\(35\)[^\n]{0,120}unexpected eof while reading|handshake(?: failed| failure)?: (?:unexpected )?EOF\b",
    ),
    Pattern {
        class: Class::TlsHandshakeTerminated,
        regex: r"SSL_ERROR_SYSCALL",
        needs_connection: false,
        // What comes after the handshake is no failure of it.
        unless: Some(r"SSL_(?:read|write)"),
    },
    plain(
        Class::NoHttpResponse,
        r"NoHttpResponseException|:\d+ failed to respond|Remote end closed connection without response|socket hang up|PrematureCloseException: Connection prematurely closed BEFORE response|UND_ERR_SOCKET|SocketError: other side closed|empty reply from server|ERR_EMPTY_RESPONSE|server disconnected without sending|ServerDisconnectedError|\bserver disconnected\b|prematurely closed connection while reading response header|closed connection without sending any data|closed the connection unexpectedly before delivering|\(70014\)[^\n]*AH01102|(?-i: SH(?:--|VN|NI|VI|DI) \d+/\d+/)",
    ),
    // gRPC-Java, .NET, Ruby's OpenSSL 3, SQL Server's driver, GnuTLS.
    plain(
        Class::TlsHandshakeTerminated,
        r"closed while performing (?:protocol|TLS) negotiation|SSL connection could not be established[^\n]*(?:\n[^\n]*)?unexpected EOF or 0 bytes|SSL_connect returned=\d+ errno=\d+[^\n]{0,160}unexpected eof while reading|SQL Server did not return a response\. The connection has been closed|handshake[^\n]{0,40}TLS connection was non-properly terminated",
    ),
    // Apache HttpClient's other words, Go's transport, Dart, Heroku's router, botocore, the AWS SDK for Java.
    plain(
        Class::NoHttpResponse,
        r"target server failed to respond|server closed idle connection|closed before full header was received|desc=.Connection closed without response|closed before we received a valid response|connection was closed during the request",
    ),
    plain(
        Class::ConnectionReset,
        r"connection reset\b|\bconnection (?:to \S{1,200} )?(?:was|has been|is) reset\b|\breset by (?:the )?(?:remote )?peer\b|\b(?:WSA)?ECONNRESET\b|ConnectionResetError|(?:kind\(|kind: |ErrorKind::|SocketError\.|ErrorCode\W{1,4})(?-i:ConnectionReset)\b|forcibly closed by the remote host|\b(?:os )?error 104\b|\berrno\W{1,4}104\b|\berrno 54\b|os error (?:54|10054)\)|\b(?:error|code|errno)\W{1,4}10054\b|\((?:0x80004005|10054)\): An existing|ERR_CONNECTION_RESET|NS_ERROR_NET_RESET|\(104\)[^\s,:;)]|SSL_(?:read|write)[^\n]{0,30}SSL_ERROR_SYSCALL, errno (?:104|54|10054)",
    ),
    // A stream of HTTP/2 that its other end reset, which is a lost call on a connection that lives: Go, gRPC in Go, Java, C++ and
    // Node.js, OkHttp, Node.js, curl, h2. Not one that was cancelled: that is mostly the caller's own doing.
    plain(
        Class::ConnectionReset,
        r"stream error: stream ID \d+; (?:PROTOCOL_ERROR|INTERNAL_ERROR|REFUSED_STREAM|ENHANCE_YOUR_CALM|HTTP_1_1_REQUIRED); received from peer|RST_STREAM (?:with (?:error )?code:?|closed stream\. HTTP/2 error code:) (?:1|2|7|11|PROTOCOL_ERROR|INTERNAL_ERROR|REFUSED_STREAM|ENHANCE_YOUR_CALM)\b|StreamResetException: stream was reset: (?:PROTOCOL_ERROR|INTERNAL_ERROR|REFUSED_STREAM|ENHANCE_YOUR_CALM)|(?:Stream|Session) closed with error code (?:NGHTTP2_(?:PROTOCOL_ERROR|INTERNAL_ERROR|REFUSED_STREAM|ENHANCE_YOUR_CALM)|(?:1|2|7|11)\b)|HTTP/2 stream \d+ was not closed cleanly: (?:PROTOCOL_ERROR|INTERNAL_ERROR|REFUSED_STREAM|ENHANCE_YOUR_CALM)|stream error received: (?:unspecific protocol error|unexpected internal error|refused stream)|GnuTLS recv error \(-54\)",
    ),
    // glibc's and Windows' messages in other languages (ECONNRESET, WSAECONNRESET).
    plain(
        Class::ConnectionReset,
        r"ré-?initialisée par le correspondant|vom Kommunikationspartner zurückgesetzt|Verbindung wurde zurückgesetzt|Verbindung wurde vom Remotehost geschlossen|Remotehost geschlossen|reinicializada por la máquina remota|conexión existente por el host remoto|fermée par l.hôte distant|interrotta dal corrispondente|dall.host remoto|fechada pela outra ponta|conexão existente pelo host remoto|разорвано другой стороной|принудительно разорвал|相手からリセット|強制的に切断|对方重设|對方重設|对端重置|强迫关闭了一个现有的连接|상대편에 의해 끊어짐|원격 호스트에 의해 강제로|zerwane przez drugą stronę|przez zdalnego hosta",
    ),
    plain(
        Class::UnexpectedEof,
        r"unexpected end of stream|SSL peer shut down incorrectly|response ended prematurely|unexpected EOF or 0 bytes from the transport stream|Unexpected end of file from server|HTTP/1\.1 header parser received no bytes|EOF reached while reading|error reading from server: EOF|Connection prematurely closed|closing inbound before receiving peer's close_notify|without sending TLS close_notify|server closed the connection unexpectedly|SSL connection has been closed unexpectedly|connection (?:was |has been )?closed unexpectedly|SSL SYSCALL error: EOF detected|lost connection to (?:MySQL|server|backend|the database)|MySQL server has gone away|connection was unexpectedly lost|ERR_CONNECTION_CLOSED|ERR_INCOMPLETE_CHUNKED_ENCODING|connection closed before message completed|\bIncompleteMessage\b|prematurely closed connection while reading upstream|premature close\b|premature end of (?:chunk|content-length)|premature EOF|prematurely reached end of stream|connection closed by server|ORA-03113|ORA-03135|ORA-12547|got minus one from a read call|closed connection before all data|underlying connection was closed: (?:An unexpected error occurred on a receive|A connection that was expected to be kept alive|The connection was closed unexpectedly)|unexpected eof while reading|\bearly EOF\b|incomplete chunked read|\bIncompleteRead\b|closed connection without sending complete message body|desc = transport is closing|SSL_(?:read|write)[^\n]{0,30}SSL_ERROR_SYSCALL, errno 0|(?-i: SD(?:--|VN|NI|VI|DI) \d+/\d+/)",
    ),
    // Clients of HTTP and gRPC: Apache HttpClient 5, Vert.x, Jetty, gRPC in Java, C++, Python and Node.js, Go's HTTP/2, urllib3,
    // asyncio, aiohttp, Python's ssl, curl, Mint, hackney, Foundation.
    plain(
        Class::UnexpectedEof,
        r#"ConnectionClosedException: Connection (?:is |was )?closed|(?:HttpClosed|Vertx)Exception: Connection was closed|EofException: Closed\b|Network closed for unknown reason|(?:UNAVAILABLE: |details ?= ?")(?:Socket closed|Connection dropped)|sent GOAWAY and closed the connection|http2: client connection lost|InvalidChunkLength\(got length b''|IncompleteReadError: 0 bytes read|Response payload is not completed|SSL connection has been closed \(EOF\)|transfer closed with (?:\d+|outstanding)|TransportError\) (?:socket |the )?closed|\{:error, :closed\}|network connection was lost|connection unexpectedly closed|remote end hung up unexpectedly"#,
    ),
    // Databases, caches and queues: node-postgres, asyncpg, sqlx, Oracle, MongoDB, Lettuce, node-redis, StackExchange.Redis, Predis,
    // phpredis, Kafka in Java, librdkafka, KafkaJS, amqplib, RabbitMQ, ZooKeeper, Cassandra.
    plain(
        Class::UnexpectedEof,
        r"Connection terminated unexpectedly|closed in the middle of operation|got 0 bytes at EOF|ORA-12537|TNS:connection closed|No more data to read from socket|MongoNetworkError: connection \d+ to \S+ closed|AutoReconnect: \S+ connection closed|RedisException: Connection closed|Connection closed prematurely|Lost connection to remote peer|Connection lost: The server closed|Socket closed unexpectedly|\bSocketClosed \(|Error while reading line from the server|read error on connection to|terminated during authentication|/\w+: Disconnected \(after|KafkaJSConnectionError: Closed connection|Error: Unexpected close\b|client unexpectedly closed TCP connection|TLS connection was non-properly terminated|likely server has closed socket|TransportException: \[[^\]]+\] Connection has been closed",
    ),
    // kafka-python, Kafka in Java, Celery, websockets in Python, Npgsql, Mint and hackney, Erlang's drivers, Akka and Pekko, JNDI,
    // GnuTLS, OkHttp and gRPC-Java behind a GOAWAY, Node.js.
    plain(
        Class::UnexpectedEof,
        r"<BrokerConnection [^\n]*>: socket disconnected|NetworkException: Disconnected from node|errors\.DisconnectException\b|Connection to broker lost\b|no close frame received or sent|connection closed abnormally|NpgsqlException[^\n]*(?:\n[^\n]*)?past the end of the stream|Error\{(?:id: nil, )?reason: :closed\b|\{error, ?closed\}|\b(?:tcp|ssl) (?:recv|send)(?: \(idle\))?: closed(?:[^ ]| [^(]|$)|Entity stream truncation|CommunicationException: connection closed|LDAP connection has been closed|GnuTLS recv error \(-(?:9|110)\)|\bConnectionShutdownException\b|Connection closed after GOAWAY|ERR_HTTP2_GOAWAY_SESSION",
    ),
    // AsyncHttpClient for Swift and for Java (Play), Netty, axios, got, Erlang's httpc, HTTPoison, MongoDB for Node.js, UnboundID.
    plain(
        Class::UnexpectedEof,
        r"\bremoteConnectionClosed\b|IOException: Remotely closed\b|channel gone inactive with \d+ missing response|stream has been aborted|server aborted pending request|\bsocket_closed_remotely\b|\(HTTPoison\.Error\) :closed\b|MongoServerSelectionError: connection \S+ to \S+ closed|connection to server \S+ was closed while waiting for a response",
    ),
    Pattern {
        class: Class::UnexpectedEof,
        regex: r#"end of file reached|: EOF$|: EOF["\s,}\]]|\bunexpected EOF\b|\b(?-i:(?:java\.io\.)?EOFException)\b|\b(?-i:EOFError)\b"#,
        needs_connection: true,
        unless: None,
    },
];

/// What shows that a record speaks of a connection: a frame, a scheme, an address with a port, a client library. Not a
/// thread's name (`http-nio-8080-exec-1`).
pub(super) const CONNECTION_EVIDENCE: &str = r"\b[a-z][a-z0-9+.-]{1,15}://|HTTP/[123]|socket|\bssl|\btls|netty|okhttp|okio|httpclient|http\.client|net\.http|net/(?:http|protocol|smtp|imap|ftp|pop)|openssl|\bNet::|Faraday|Excon|\bgrpc|rpc error|hyper\b|reqwest|jdbc|mysql|postgres|libpq|psycopg|redis|jedis|lettuce|mongo|kafka|amqp|rabbit|\bnats\b|\bdial tcp|bad gateway|proxy error|\bbroker\b|:\d{2,5}\b.*->|(?:read|write) tcp|connection";

/// Why words of a lost connection are no lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A setting, a metric's name, a list of codes to retry on.
    Configuration,
    /// Istio's or Envoy's own stream of configuration.
    ConfigurationStream,
    /// Somebody who connected to this service went away before saying anything: a load balancer's probe.
    Probe,
    /// A parser came to the end of its input.
    Parser,
    /// The words stand in the name of a field.
    FieldName,
    /// In a field that no logger is known to use for errors, of a record that is no warning.
    OtherField,
    /// The end of a stream in a record that does not speak of a connection.
    NoConnection,
    /// A later message of one failure that was counted: another logger's, or the server's own second line.
    SameFailure,
    /// Speaks of a lost connection in words of no class.
    NotUnderstood,
}

impl Reason {
    /// The name in the machine output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::ConfigurationStream => "configuration-stream",
            Self::Probe => "probe",
            Self::Parser => "parser",
            Self::FieldName => "field-name",
            Self::OtherField => "other-field",
            Self::NoConnection => "no-connection",
            Self::SameFailure => "same-failure",
            Self::NotUnderstood => "not-understood",
        }
    }

    /// What it means, to go on with "records".
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Configuration => "name the words as a setting, a metric or a list of codes",
            Self::ConfigurationStream => "tell of the proxy's own stream of configuration",
            Self::Probe => "tell of somebody who connected to this service and went away (a load balancer's probe)",
            Self::Parser => "tell of a parser that came to the end of its input",
            Self::FieldName => "have the words in the name of a field",
            Self::OtherField => "have the words in a field that is not known for errors, and are no warnings",
            Self::NoConnection => "tell of the end of a stream, and of no connection",
            Self::SameFailure => "report a failure that was counted once already",
            Self::NotUnderstood => "speak of a lost connection in words of no class",
        }
    }
}

/// Phrases in which the words mean no lost connection. They are left out before a record is classified.
pub(super) const HARMLESS: &[(Reason, &str)] = &[
    // Envoy's and Istio's XDS streams end every half hour (grpc_stream.h: "gRPC config stream … closed").
    (Reason::ConfigurationStream, r"(?i)[^\n]*gRPC config(?: for | stream)[^\n]*"),
    // net/http's server: "http: TLS handshake error from %s: %v".
    (
        Reason::Probe,
        r"(?i)TLS handshake error from \S+: (?:(?:unexpected )?EOF|read tcp [^\n]*connection reset by peer)",
    ),
    (
        Reason::Configuration,
        r#"(?i)connection[ _-]?resets?[ _-]?(?:timeouts?|handlers?|listeners?|intervals?|thresholds?|polic(?:y|ies)|counters?|counts?|metrics?|detect\w*|retr(?:y|ies)|protection|options?|settings?|periods?|windows?|limits?|flags?|rates?|tests?)\b"#,
    ),
    (
        Reason::Configuration,
        r#"(?i)\b(?:no|without|zero) connection resets?\b|\b0 connection resets\b|connection[ _]resets?["']?(?:\s*[:=]\s*\d+(?:\.\d+)?\b| 0(?:,|;|$))"#,
    ),
    (
        Reason::Configuration,
        r#"\b(?:(?:E[A-Z]{4,}|UND_ERR_[A-Z_]+|ERR_[A-Z_]+)["']?\s*[,|]\s*["']?)+(?:E[A-Z]{4,}|UND_ERR_[A-Z_]+|ERR_[A-Z_]+)\b"#,
    ),
    (
        Reason::Configuration,
        r#"(?i)(?:connection reset(?: by peer)?|ECONNRESET|unexpected EOF|socket hang up)\s*\|\s*(?:broken pipe|(?:read |connection )?time[d ]?\w*|connection (?:refused|closed|abort)\w*|no route|E[A-Z]{4,}|socket|unexpected EOF|EOF)|(?:broken pipe|time[d ]?\w*(?: out)?|connection (?:refused|closed|abort)\w*|no route to host|socket hang up|EOF)\s*\|\s*(?:connection reset(?: by peer)?|ECONNRESET|unexpected EOF)"#,
    ),
    (
        Reason::Configuration,
        r#"(?i)\b(?:retry[ _-]?on|retryable(?:[ _-](?:errors?|codes?|exceptions?|statuses)|(?:errors|codes|exceptions|statuses))?|retry[ _-]?(?:codes?|errors?|conditions?|patterns?))["']?\s*[:=][^\n]*"#,
    ),
    (
        Reason::Parser,
        r#"(?i)(?:\b(?:yaml|json|xml|toml|hcl|csv|template|parser?|parsing|syntax|lexer|tokenizer|decoder|zip|gzip|tar|line \d+|column \d+)|[\w.-]+\.(?:ya?ml|json|toml|xml|tpl|tmpl|conf|cfg|ini|properties|sql|graphql|proto|csv)(?::\d+){0,2})\s*:\s*(?:found )?(?:an )?unexpected (?:EOF|end of (?:file|stream|input))"#,
    ),
    (Reason::Parser, r"EOFError: (?:Ran out of input|EOF when reading a line|EOF read where)"),
    // nginx' clients that leave before they have asked for anything.
    (
        Reason::Probe,
        r"(?i)recv\(\) failed \(104: [^)\n]*\) while (?:reading client|waiting for (?:request|client))[^\n]*|peer closed connection in SSL handshake(?: \(104: [^)\n]*\))? while SSL handshaking, client[^\n]*",
    ),
    // Tomcat's and Spring's word for a caller that did not wait for its answer, and all that was its cause (Tomcat 4 and
    // later, `OutputBuffer.java`; Spring 6.1, `StandardServletAsyncWebRequest.java`).
    (Reason::Probe, r"(?s)\b(?:ClientAbortException|AsyncRequestNotUsableException): .*"),
    // kafka-python closes what it has just called disconnected.
    (Reason::SameFailure, r"Closing connection\. (?:Kafka)?ConnectionError: socket disconnected"),
    // httpd's second line of a failure whose first one says why.
    (Reason::SameFailure, r"(?i)AH00898: Error reading from remote server returned by[^\n]*"),
];

/// What speaks of a lost connection and is in no class.
pub(super) const NOT_UNDERSTOOD: &str = r"\bbroken pipe\b|\bEPIPE\b|connection abort(?:ed)?\b|\bECONNABORTED\b|connection (?:was )?(?:lost|dropped)\b|\bnats: connection closed\b|\bRST_STREAM\b|\bstream reset\b|\breset the stream\b|stream \d+ was not closed cleanly|ClosedChannelException|\b(?:connection|stream|socket|session|channel|link)\b[^\n]{0,60}\breset by\b|stream error: stream ID|closed with error code NGHTTP2|\b(?:stream|peer|connection) was reset\b";
