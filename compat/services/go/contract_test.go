package main

// Holds contract.go against the golden vectors.

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
)

func read(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile("../../../" + path)
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatal(path, err)
	}
}

func same(t *testing.T, made, wanted, what any) {
	t.Helper()
	if !reflect.DeepEqual(made, wanted) {
		t.Errorf("%v: %v is not %v", what, made, wanted)
	}
}

func bytesOf(text *string) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}

func given(pairs [][2]*string) []Header {
	var headers []Header
	for _, pair := range pairs {
		headers = append(headers, Header{*pair[0], bytesOf(pair[1])})
	}
	return headers
}

func TestKeys(t *testing.T) {
	var vectors []struct {
		Pointers []string
		TenantID string `json:"tenant_id"`
		Payload  string
		Key      *string
	}
	read(t, "compat/vectors/keys.json", &vectors)
	for _, v := range vectors {
		key, err := orderingKey(v.TenantID, []byte(v.Payload), v.Pointers)
		same(t, err == nil, v.Key != nil, v.Payload)
		if v.Key != nil {
			same(t, key, *v.Key, v.Payload)
		}
	}
}

func TestIds(t *testing.T) {
	var ids struct {
		Namespace string
		Emitted   []struct {
			Handled, Group, ID string
			Ordinal            int
		}
		OfPosition []struct {
			Topic, Value, ID string
			Partition        int32
			Offset           int64
			TimestampMs      int64 `json:"timestamp_ms"`
		} `json:"of_position"`
		DeadLetter []struct {
			Group, Topic, ID  string
			Partition, Offset int
		} `json:"dead_letter"`
	}
	read(t, "compat/vectors/ids.json", &ids)
	same(t, ids.Namespace, bus, "namespace")
	for _, v := range ids.Emitted {
		same(t, derived(v.Handled, v.Group, v.Ordinal), v.ID, v)
	}
	for _, v := range ids.OfPosition {
		record := &Record{Topic: v.Topic, Partition: v.Partition, Offset: v.Offset, TimestampMs: v.TimestampMs, Value: []byte(v.Value)}
		same(t, positionID(record), v.ID, v)
	}
	for _, v := range ids.DeadLetter {
		same(t, derived(v.Group, v.Topic, v.Partition, v.Offset), v.ID, v)
	}
}

func TestRecords(t *testing.T) {
	var vectors []struct {
		Envelope string
		Headers  map[string]string
	}
	read(t, "compat/vectors/records.json", &vectors)
	for _, v := range vectors {
		envelope, err := open(&Record{Value: []byte(v.Envelope)})
		if err != nil {
			t.Fatal(err)
		}
		made := map[string]string{}
		for _, header := range firstHeaders("blindstrader", envelope, "")[:7] {
			made[header.Name] = string(header.Value)
		}
		same(t, made, v.Headers, v.Envelope)
	}
}

func TestReceived(t *testing.T) {
	var vectors []struct {
		What               string
		Key, Value, Reason *string
		ValueHex, EventID  *string
	}
	var raw []map[string]*string
	read(t, "compat/vectors/received.json", &vectors)
	read(t, "compat/vectors/received.json", &raw)
	schema, err := os.ReadFile("../../../catalogue/schemas/OrderPlaced/1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	checker := newChecker("OrderPlaced", "1.0", string(schema))
	for at, v := range vectors {
		value := bytesOf(v.Value)
		if digits := raw[at]["value_hex"]; digits != nil {
			value, _ = hex.DecodeString(*digits)
		}
		envelope, err := open(&Record{Key: bytesOf(v.Key), Value: value})
		if err == nil {
			err = checker.check(envelope)
		}
		var dead *Dead
		switch {
		case errors.As(err, &dead):
			same(t, &dead.Reason, v.Reason, v.What)
		case err != nil:
			t.Error(v.What, err)
		default:
			same(t, (*string)(nil), v.Reason, v.What)
			if wanted := raw[at]["event_id"]; wanted != nil {
				same(t, envelope.EventID, *wanted, v.What)
			}
		}
	}
}

func TestDeadLetters(t *testing.T) {
	var vectors []struct {
		What, Group, Service, Reason, Message string
		ErrorType                             string `json:"error_type"`
		FirstFailedAt                         string `json:"first_failed_at"`
		FailedAt                              string `json:"failed_at"`
		EventID                               string `json:"event_id"`
		Attempts                              int
		Record                                struct {
			Topic     string
			Partition int32
			Offset    int64
			Headers   [][2]*string
		}
		Letter struct{ Headers [][2]*string }
	}
	read(t, "compat/vectors/dead-letters.json", &vectors)
	for _, v := range vectors {
		record := &Record{Topic: v.Record.Topic, Partition: v.Record.Partition, Offset: v.Record.Offset, Headers: given(v.Record.Headers)}
		death := &Death{v.Group, v.Service, v.FirstFailedAt, v.FailedAt, v.EventID, v.Attempts, &Dead{v.Reason, v.ErrorType, v.Message}}
		var made []Header
		for _, header := range deadLetter(record, death) {
			if header.Name != "dlq.fingerprint" {
				made = append(made, header)
			}
		}
		same(t, made, given(v.Letter.Headers), v.What)
	}
}
