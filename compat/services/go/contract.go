package main

// What docs/CONTRACT.md says: ids, keys, headers, what is an event, and what a dead letter looks like. No I/O.

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

const (
	maxRecord      = 1_000_000
	maxKey         = 1024
	maxHeaders     = 64
	maxHeaderBytes = 16 * 1024
	maxNesting     = 64
	bus            = "b5f2a375-135e-4d6b-a71a-cc7273b12bd8"
)

var (
	slug    = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	instant = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$`)
	version = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)$`)
	id      = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	replays = map[string]bool{"replay.id": true, "replay.of": true, "replay.for": true, "replay.chain.seq": true,
		"replay.edited-by": true, "event-bus.event-id": true, "dlq.replays": true}
)

// Header of a record; a value may be absent.
type Header struct {
	Name  string
	Value []byte
}

func text(name, value string) Header { return Header{name, []byte(value)} }

// Record as it was read.
type Record struct {
	Topic       string
	Partition   int32
	Offset      int64
	TimestampMs int64
	Key, Value  []byte
	Headers     []Header
}

// Dead says that the record can't be handled, ever: the reason, the kind of the error, and the error.
type Dead struct{ Reason, Kind, Message string }

func (dead *Dead) Error() string { return dead.Message }

// Envelope is what a record's value holds.
type Envelope struct {
	EventID    string          `json:"event_id,omitempty"`
	Event      string          `json:"event"`
	Version    string          `json:"version"`
	OccurredAt string          `json:"occurred_at"`
	Service    string          `json:"service"`
	TenantID   string          `json:"tenant_id"`
	Payload    json.RawMessage `json:"payload"`
}

func uuidOf(raw []byte, version byte) string {
	raw[6], raw[8] = raw[6]&0x0f|version<<4, raw[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:16])
}

func derived(parts ...any) string {
	space, _ := hex.DecodeString(strings.ReplaceAll(bus, "-", ""))
	texts := make([]string, len(parts))
	for at, part := range parts {
		texts[at] = fmt.Sprint(part)
	}
	sum := sha1.Sum(append(space, strings.Join(texts, "\n")...))
	return uuidOf(sum[:16], 5)
}

func positionID(record *Record) string {
	return derived(record.Topic, record.Partition, record.Offset, record.TimestampMs, fmt.Sprintf("%x", sha256.Sum256(record.Value)))
}

func random(count int) []byte {
	bytes := make([]byte, count)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return bytes
}

// newID is a UUIDv7: the time, and the rest at random.
func newID(nowMs int64) string {
	return uuidOf(append(binary.BigEndian.AppendUint64(nil, uint64(nowMs))[2:], random(10)...), 7)
}

func encoded(text string) string {
	var key strings.Builder
	for _, b := range []byte(text) {
		if b < utf8.RuneSelf && (unicode.IsLetter(rune(b)) || unicode.IsDigit(rune(b)) || strings.IndexByte("-_.~", b) >= 0) {
			key.WriteByte(b)
		} else {
			fmt.Fprintf(&key, "%%%02X", b)
		}
	}
	return key.String()
}

func orderingKey(tenant string, payload []byte, pointers []string) (string, error) {
	var root any
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return "", err
	}
	root = map[string]any{"tenant_id": tenant, "payload": root}
	var parts []string
	for _, pointer := range pointers {
		value := root
		for _, token := range strings.Split(pointer, "/")[1:] {
			fields, _ := value.(map[string]any)
			value = fields[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
		}
		switch value := value.(type) {
		case string:
			parts = append(parts, encoded(value))
		case json.Number:
			number, ok := new(big.Rat).SetString(value.String())
			isWhole := ok && number.IsInt()
			isExact := !strings.ContainsAny(value.String(), ".eE") || isWhole && number.Num().BitLen() <= 53
			if !isWhole || !isExact {
				return "", fmt.Errorf("%s holds no integer", pointer)
			}
			parts = append(parts, number.Num().String())
		default:
			return "", fmt.Errorf("%s holds neither a string nor an integer", pointer)
		}
	}
	return strings.Join(parts, "/"), nil
}

func firstHeaders(namespace string, envelope *Envelope, trace string) []Header {
	if trace == "" {
		trace = "00-" + hex.EncodeToString(random(16))
	}
	return []Header{
		text("ce_specversion", "1.0"), text("ce_id", envelope.EventID), text("ce_type", envelope.Event),
		text("ce_source", "/"+namespace+"/"+envelope.Service), text("ce_time", envelope.OccurredAt),
		text("ce_tenantid", envelope.TenantID), text("content-type", "application/json"),
		text("traceparent", fmt.Sprintf("%.35s-%x-01", trace, random(8))),
	}
}

func last(headers []Header, name string) string {
	for at := len(headers) - 1; at >= 0; at-- {
		if headers[at].Name == name {
			return string(headers[at].Value)
		}
	}
	return ""
}

func checkLimits(record *Record) *Dead {
	seen, count, size := map[string]bool{}, 0, 0
	for _, header := range record.Headers {
		if replays[header.Name] && !seen[header.Name] {
			seen[header.Name] = true
			continue
		}
		count, size = count+1, size+len(header.Name)+len(header.Value)
	}
	if len(record.Key) > maxKey || count > maxHeaders || size > maxHeaderBytes {
		return &Dead{"malformed", "LimitExceeded", "the key or the headers are too large"}
	}
	if len(record.Key)+len(record.Value)+size > maxRecord {
		return &Dead{"too-large", "LimitExceeded", fmt.Sprintf("the record has more than %d bytes", maxRecord)}
	}
	return nil
}

// scan walks over one value and refuses fields that occur twice, and nesting that is too deep.
func scan(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	delim, isDelim := token.(json.Delim)
	if !isDelim {
		return nil
	}
	if depth == 0 {
		return errors.New("nested too deep")
	}
	seen := map[string]bool{}
	for decoder.More() {
		if delim == '{' {
			name, err := decoder.Token()
			if err != nil {
				return err
			}
			if seen[name.(string)] {
				return errors.New("a field occurs twice")
			}
			seen[name.(string)] = true
		}
		if err := scan(decoder, depth-1); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

// open gives the envelope, its id in lower case, or says why there is none.
func open(record *Record) (*Envelope, error) {
	if record.Value == nil {
		return nil, &Dead{"null-value", "NullValue", "the record has no value, so it is no event"}
	}
	if dead := checkLimits(record); dead != nil {
		return nil, dead
	}
	decoder := json.NewDecoder(bytes.NewReader(record.Value))
	err := scan(decoder, maxNesting)
	if _, rest := decoder.Token(); err == nil && rest != io.EOF {
		err = errors.New("something follows behind the JSON")
	}
	if err != nil || !utf8.Valid(record.Value) {
		return nil, &Dead{"malformed", "NotJson", fmt.Sprintf("no JSON: %v", err)}
	}
	// A map, for Go's own reading of a struct takes names in any case.
	var fields map[string]json.RawMessage
	envelope := &Envelope{}
	isEnvelope := json.Unmarshal(record.Value, &fields) == nil && fields["payload"] != nil
	for name, field := range map[string]*string{"event": &envelope.Event, "version": &envelope.Version, "occurred_at": &envelope.OccurredAt,
		"service": &envelope.Service, "tenant_id": &envelope.TenantID, "event_id": &envelope.EventID} {
		raw, isThere := fields[name]
		if !isThere && name == "event_id" {
			continue
		}
		isText := len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, field) == nil
		isEnvelope = isEnvelope && isText
	}
	tenant := envelope.TenantID
	if _, isThere := fields["event_id"]; isThere {
		isEnvelope = isEnvelope && id.MatchString(envelope.EventID) && strings.Trim(envelope.EventID, "0-") != ""
	}
	if !isEnvelope || tenant == "" || len(tenant) > 128 || strings.IndexFunc(tenant, unicode.IsControl) >= 0 ||
		!version.MatchString(envelope.Version) || !instant.MatchString(envelope.OccurredAt) || !slug.MatchString(envelope.Service) {
		return nil, &Dead{"malformed", "NotAnEnvelope", "JSON, but not an envelope"}
	}
	envelope.EventID, envelope.Payload = strings.ToLower(envelope.EventID), fields["payload"]
	return envelope, nil
}

// Checker knows what may arrive on the topic of one event, of one major version.
type Checker struct {
	event, major string
	schema       *jsonschema.Schema
}

func newChecker(event, version, schema string) *Checker {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat = true
	if err := compiler.AddResource("schema.json", strings.NewReader(schema)); err != nil {
		panic(err)
	}
	return &Checker{event, strings.Split(version, ".")[0], compiler.MustCompile("schema.json")}
}

func (checker *Checker) check(envelope *Envelope) error {
	if envelope.Event != checker.event {
		return &Dead{"wrong-topic", "WrongTopic", fmt.Sprintf("the envelope says %s, not %s", envelope.Event, checker.event)}
	}
	if strings.Split(envelope.Version, ".")[0] != checker.major {
		return &Dead{"unsupported-version", "UnsupportedVersion", fmt.Sprintf("version %s is not known", envelope.Version)}
	}
	var payload any
	decoder := json.NewDecoder(bytes.NewReader(envelope.Payload))
	decoder.UseNumber()
	if err := decoder.Decode(&payload); err != nil {
		return err
	}
	var wrong *jsonschema.ValidationError
	if errors.As(checker.schema.Validate(payload), &wrong) {
		var all []string
		for _, leaf := range wrong.BasicOutput().Errors {
			all = append(all, leaf.InstanceLocation+": "+leaf.KeywordLocation)
		}
		return &Dead{"schema-invalid", "SchemaInvalid", strings.Join(all, "; ")}
	}
	return nil
}

func isAdded(name string) bool {
	return strings.HasPrefix(name, "dlq.") || strings.HasPrefix(name, "__dlq.errors.") || strings.HasPrefix(name, "replay.") ||
		name == "event-bus.event-id"
}

// Death says how a record died.
type Death struct {
	Group, Service, FirstFailedAt, FailedAt, EventID string
	Attempts                                         int
	Dead                                             *Dead
}

// deadLetter gives the headers of the record for the dead letter topic; key and value stay as they are.
func deadLetter(record *Record, death *Death) []Header {
	var headers []Header
	for _, header := range record.Headers {
		if !isAdded(header.Name) {
			headers = append(headers, header)
		}
	}
	alike := sha256.Sum256([]byte(death.Group + " " + death.Dead.Reason + " " + death.Dead.Kind))
	replayed := last(record.Headers, "dlq.replays")
	if replayed == "" {
		replayed = "0"
	}
	headers = append(headers,
		text("__dlq.errors.topic", record.Topic), text("__dlq.errors.partition", fmt.Sprint(record.Partition)),
		text("__dlq.errors.offset", fmt.Sprint(record.Offset)), text("__dlq.errors.group", death.Group),
		text("__dlq.errors.delivery.count", fmt.Sprint(death.Attempts)), text("__dlq.errors.message", strings.ToValidUTF8(fmt.Sprintf("%.1024s", death.Dead.Message), "")),
		text("dlq.id", derived(death.Group, record.Topic, record.Partition, record.Offset)), text("dlq.reason", death.Dead.Reason),
		text("dlq.error.type", death.Dead.Kind), text("dlq.fingerprint", hex.EncodeToString(alike[:8])),
		text("dlq.first-failed-at", death.FirstFailedAt), text("dlq.failed-at", death.FailedAt), text("dlq.service", death.Service),
		text("dlq.replays", replayed), text("event-bus.event-id", death.EventID))
	if previous := last(record.Headers, "replay.of"); previous != "" {
		headers = append(headers, text("dlq.previous", previous))
	}
	return headers
}
