// A retailer that places orders, and a payment service that takes the money for them: PostgreSQL, and no code of the bus.
//
//	service place N      N orders, each with its event in one transaction; ends when all are sent
//	service run          handles OrderPlaced and publishes PaymentCaptured, until SIGTERM
package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	_ "github.com/lib/pq"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	service = "payment"
	event   = "OrderPlaced"
)

var (
	namespace = setting("NAMESPACE", "blindstrader")
	topic     = namespace + ".order.placed"
	group     = namespace + "-" + service + "-order-placed"
	key       = []string{"/tenant_id", "/payload/order_id"}
)

const tables = `
	CREATE TABLE IF NOT EXISTS outbox (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL, topic text NOT NULL, partition_id integer,
		record_key bytea, record_value bytea, headers text NOT NULL);
	CREATE TABLE IF NOT EXISTS processed_events (
		consumer_group text NOT NULL, epoch integer NOT NULL DEFAULT 0, tenant_id text NOT NULL, topic text NOT NULL,
		event_id uuid NOT NULL, status text NOT NULL CHECK (status IN ('done', 'dead')), dlq_id uuid, value_sha256 bytea NOT NULL,
		partition_id integer NOT NULL, record_offset bigint NOT NULL, processed_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (event_id, tenant_id, topic, consumer_group, epoch));
	CREATE TABLE IF NOT EXISTS orders (order_id text PRIMARY KEY, status text NOT NULL);
	CREATE TABLE IF NOT EXISTS payments (event_id uuid NOT NULL, tenant_id text NOT NULL, order_id text NOT NULL, amount text NOT NULL);`

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func catalogue(name string) []byte {
	content, err := os.ReadFile(filepath.Join(setting("CATALOGUE", "catalogue"), name))
	if err != nil {
		log.Fatal(err)
	}
	return content
}

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00") }

func brokers() kgo.Opt { return kgo.SeedBrokers(setting("BOOTSTRAP", "localhost:9092")) }

func transaction(db *sql.DB, work func(tx *sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// row is one of the outbox.
type row struct {
	id         int64
	eventID    string
	topic      string
	partition  *int32
	key, value []byte
	headers    []Header
}

// enqueue writes a row at the end of the caller's transaction. The lock of the key is held to the commit, so the ids of a key
// have the order of its commits.
func enqueue(tx *sql.Tx, row *row) error {
	pairs := make([][2]any, len(row.headers))
	for at, header := range row.headers {
		pairs[at][0] = header.Name
		if value := header.Value; value != nil {
			pairs[at][1] = asText(value)
		}
	}
	headers, err := json.Marshal(pairs)
	if err != nil {
		return err
	}
	if _, err := tx.Exec("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", fmt.Sprintf("%s/%q", row.topic, row.key)); err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO outbox (event_id, topic, partition_id, record_key, record_value, headers) VALUES ($1, $2, $3, $4, $5, $6)",
		row.eventID, row.topic, row.partition, nullable(row.key), nullable(row.value), string(headers))
	return err
}

// nullable keeps an absent value apart from an empty one, which the driver does not.
func nullable(value []byte) any {
	if value == nil {
		return nil
	}
	return value
}

func publish(tx *sql.Tx, envelope *Envelope, topic, trace string) error {
	recordKey, err := orderingKey(envelope.TenantID, envelope.Payload, key)
	if err != nil {
		return err
	}
	value, err := json.Marshal(envelope)
	if err != nil {
		return err
	}
	headers := firstHeaders(namespace, envelope, trace)
	return enqueue(tx, &row{eventID: envelope.EventID, topic: topic, key: []byte(recordKey), value: value, headers: headers})
}

// asText gives what JSON can hold of a header's value.
func asText(value []byte) any {
	for _, r := range string(value) {
		if r == 0 || r == '\uFFFD' {
			return map[string]string{"hex": hex.EncodeToString(value)}
		}
	}
	return string(value)
}

func asBytes(value any) []byte {
	switch value := value.(type) {
	case string:
		return []byte(value)
	case map[string]any:
		bytes, _ := hex.DecodeString(value["hex"].(string))
		return bytes
	}
	return nil
}

// place writes orders of a new retailer each time, placed and then changed once: two events of each key.
func place(db *sql.DB, relay *Relay, count int) {
	var sample struct{ Payload map[string]any }
	if err := json.Unmarshal(catalogue("samples/OrderPlaced/1.0/valid-two-lines.json"), &sample); err != nil {
		log.Fatal(err)
	}
	tenant := "retailer-" + hex.EncodeToString(random(4))
	for number := 0; number < count; number++ {
		order := fmt.Sprintf("o-%s-%d", tenant, number/2)
		err := transaction(db, func(tx *sql.Tx) error {
			if _, err := tx.Exec("INSERT INTO orders VALUES ($1, 'placed') ON CONFLICT (order_id) DO UPDATE SET status = 'changed'", order); err != nil {
				return err
			}
			sample.Payload["order_id"], sample.Payload["retailer_id"], sample.Payload["placed_at"] = order, tenant, now()
			payload, err := json.Marshal(sample.Payload)
			if err != nil {
				return err
			}
			envelope := &Envelope{newID(time.Now().UnixMilli()), event, "1.0", now(), "retailer", tenant, payload}
			return publish(tx, envelope, topic, "")
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	for {
		sent, err := relay.turn(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		if sent == 0 {
			break
		}
	}
	fmt.Println(count, "orders placed")
}

func main() {
	db, err := sql.Open("postgres", setting("STORE", "postgres://localhost/service"))
	if err == nil {
		_, err = db.Exec(tables)
	}
	if err != nil {
		log.Fatal(err)
	}
	relay := newRelay(db)
	defer relay.close()
	if len(os.Args) == 3 && os.Args[1] == "place" {
		count, err := strconv.Atoi(os.Args[2])
		if err != nil {
			log.Fatal(err)
		}
		place(db, relay, count)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	relayed := make(chan struct{})
	go func() {
		defer close(relayed)
		relay.run(ctx)
	}()
	newPayment(db).run(ctx)
	<-relayed
}
