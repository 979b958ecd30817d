package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"log"
	"sync"
	"time"

	"github.com/lib/pq"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Relay sends the rows of the outbox in their order, and removes a row once it is acknowledged. There is one a database.
type Relay struct {
	db     *sql.DB
	client *kgo.Client
}

// folded chooses the partition that a row says, and otherwise the one of the key, as Java does.
type folded struct{}

func (folded) ForTopic(topic string) kgo.TopicPartitioner {
	return foldedTopic{kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
}

type foldedTopic struct{ kgo.TopicPartitioner }

type chosen struct{}

func (byKey foldedTopic) Partition(record *kgo.Record, partitions int) int {
	if partition, isChosen := record.Context.Value(chosen{}).(int32); isChosen {
		return int(partition) % partitions
	}
	return byKey.TopicPartitioner.Partition(record, partitions)
}

func (foldedTopic) RequiresConsistency(*kgo.Record) bool { return true }

func newRelay(db *sql.DB) *Relay {
	// Idempotent and acknowledged by all replicas, which are franz-go's defaults; no record is ever dropped.
	client, err := kgo.NewClient(brokers(), kgo.RecordPartitioner(folded{}), kgo.ProducerBatchMaxBytes(4_194_304))
	if err != nil {
		log.Fatal(err)
	}
	return &Relay{db, client}
}

func (relay *Relay) close() { relay.client.Close() }

func (relay *Relay) rows(ctx context.Context) ([]*row, error) {
	found, err := relay.db.QueryContext(ctx, "SELECT id, topic, partition_id, record_key, record_value, headers FROM outbox ORDER BY id LIMIT 500")
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var rows []*row
	for found.Next() {
		row, headers := &row{}, ""
		if err := found.Scan(&row.id, &row.topic, &row.partition, &row.key, &row.value, &headers); err != nil {
			return nil, err
		}
		var pairs [][2]any
		if err := json.Unmarshal([]byte(headers), &pairs); err != nil {
			return nil, err
		}
		for _, pair := range pairs {
			row.headers = append(row.headers, Header{pair[0].(string), asBytes(pair[1])})
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// turn sends what waits, but one row of a topic and key at a time: nothing passes a row that failed. It says how many went.
func (relay *Relay) turn(ctx context.Context) (int, error) {
	rows, err := relay.rows(ctx)
	if err != nil {
		return 0, err
	}
	var guard sync.Mutex
	var sent []int64
	lanes := map[[2]string]bool{}
	for _, row := range rows {
		lane := [2]string{row.topic, string(row.key)}
		if lanes[lane] {
			continue
		}
		lanes[lane] = true
		record := &kgo.Record{Topic: row.topic, Key: row.key, Value: row.value}
		for _, header := range row.headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: header.Name, Value: header.Value})
		}
		sending := ctx
		if row.partition != nil {
			sending = context.WithValue(ctx, chosen{}, *row.partition)
		}
		id := row.id
		relay.client.Produce(sending, record, func(_ *kgo.Record, err error) {
			guard.Lock()
			defer guard.Unlock()
			if err == nil {
				sent = append(sent, id)
			} else {
				log.Println(err)
			}
		})
	}
	if err := relay.client.Flush(ctx); err != nil {
		return 0, err
	}
	if len(sent) > 0 {
		_, err = relay.db.ExecContext(ctx, "DELETE FROM outbox WHERE id = ANY ($1)", pq.Array(sent))
	}
	return len(sent), err
}

func (relay *Relay) run(ctx context.Context) {
	for ctx.Err() == nil {
		sent, err := relay.turn(ctx)
		if err != nil && ctx.Err() == nil {
			log.Println(err)
		}
		if sent == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}
