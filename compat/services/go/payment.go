package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand"
	"net"
	"sync"
	"time"

	"github.com/lib/pq"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var waits = []time.Duration{500 * time.Millisecond, 2 * time.Second, 8 * time.Second}

// window is how many records may wait before no more are fetched.
const window = 1000

// Replay is what a record says that is one.
type Replay struct{ id, of, group, eventID string }

// Waiting is a record that is not settled.
type Waiting struct {
	record        *Record
	leaderEpoch   int32
	replay        *Replay
	attempts      int
	firstFailedAt string
	due           time.Time
}

type lane struct {
	partition int32
	hasKey    bool
	key       string
}

// Payment handles each event once, keys in their order, and what fails again and again becomes a dead letter.
type Payment struct {
	db        *sql.DB
	checker   *Checker
	client    *kgo.Client
	guard     sync.Mutex // A rebalance comes on another goroutine.
	lanes     map[lane][]*Waiting
	ends      map[int32]kgo.EpochOffset
	committed map[int32]kgo.EpochOffset
}

func newPayment(db *sql.DB) *Payment {
	payment := &Payment{db: db, checker: newChecker(event, "1.0", string(catalogue("schemas/OrderPlaced/1.0.json"))),
		lanes: map[lane][]*Waiting{}, ends: map[int32]kgo.EpochOffset{}, committed: map[int32]kgo.EpochOffset{}}
	revoked := func(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
		payment.guard.Lock()
		defer payment.guard.Unlock()
		payment.commit(ctx)
		payment.forget(gone[topic])
	}
	lost := func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
		payment.guard.Lock()
		defer payment.guard.Unlock()
		payment.forget(gone[topic])
	}
	// Cooperative-sticky is franz-go's default.
	client, err := kgo.NewClient(brokers(), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsRevoked(revoked), kgo.OnPartitionsLost(lost))
	if err != nil {
		log.Fatal(err)
	}
	payment.client = client
	return payment
}

func (payment *Payment) forget(partitions []int32) {
	for _, partition := range partitions {
		delete(payment.ends, partition)
		delete(payment.committed, partition)
		for lane := range payment.lanes {
			if lane.partition == partition {
				delete(payment.lanes, lane)
			}
		}
	}
}

// commit gives the lowest offset that is not settled, of each partition.
func (payment *Payment) commit(ctx context.Context) {
	lowest := map[int32]kgo.EpochOffset{}
	for partition, end := range payment.ends {
		lowest[partition] = end
	}
	for lane, waiting := range payment.lanes {
		if first := waiting[0]; first.record.Offset < lowest[lane.partition].Offset {
			lowest[lane.partition] = kgo.EpochOffset{Epoch: first.leaderEpoch, Offset: first.record.Offset}
		}
	}
	for partition, offset := range lowest {
		if payment.committed[partition] == offset {
			delete(lowest, partition)
		}
	}
	if len(lowest) == 0 {
		return
	}
	var refused error
	payment.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{topic: lowest}, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
		refused = err
	})
	if refused != nil {
		// The group rebalances: what is not committed comes again, and is known then.
		log.Println(refused)
		return
	}
	for partition, offset := range lowest {
		payment.committed[partition] = offset
	}
}

func (payment *Payment) take(read *kgo.Record) {
	record := &Record{read.Topic, read.Partition, read.Offset, read.Timestamp.UnixMilli(), read.Key, read.Value, nil}
	for _, header := range read.Headers {
		record.Headers = append(record.Headers, Header{header.Key, header.Value})
	}
	replay := &Replay{last(record.Headers, "replay.id"), last(record.Headers, "replay.of"), last(record.Headers, "replay.for"),
		last(record.Headers, "event-bus.event-id")}
	if replay.id == "" || replay.of == "" || replay.group == "" || replay.eventID == "" {
		replay = nil
	}
	lane := lane{read.Partition, read.Key != nil, string(read.Key)}
	payment.lanes[lane] = append(payment.lanes[lane], &Waiting{record: record, leaderEpoch: read.LeaderEpoch, replay: replay})
	payment.ends[read.Partition] = kgo.EpochOffset{Epoch: read.LeaderEpoch, Offset: read.Offset + 1}
}

func (payment *Payment) run(ctx context.Context) {
	for ctx.Err() == nil {
		payment.guard.Lock()
		count, isBusy := 0, false
		for _, waiting := range payment.lanes {
			count += len(waiting)
			isBusy = isBusy || !waiting[0].due.After(time.Now())
		}
		payment.guard.Unlock()
		pause := 50 * time.Millisecond
		if isBusy {
			pause = time.Millisecond
		}
		polling, done := context.WithTimeout(ctx, pause)
		if count < window {
			fetches := payment.client.PollRecords(polling, 100)
			fetches.EachError(func(_ string, _ int32, err error) {
				if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
					log.Fatal(err)
				}
			})
			payment.guard.Lock()
			fetches.EachRecord(payment.take)
			payment.guard.Unlock()
		} else {
			<-polling.Done()
		}
		done()
		payment.guard.Lock()
		for lane, waiting := range payment.lanes {
			if waiting[0].due.After(time.Now()) || !payment.settle(waiting[0]) {
				continue
			}
			if payment.lanes[lane] = waiting[1:]; len(waiting) == 1 {
				delete(payment.lanes, lane)
			}
		}
		payment.commit(context.Background())
		payment.guard.Unlock()
	}
	payment.client.Close()
}

// isTrouble says that the database is in trouble, and not the event.
func isTrouble(err error) bool {
	var answer *pq.Error
	var broken net.Error
	if errors.As(err, &answer) {
		switch answer.Code.Class() {
		case "08", "40", "53", "57":
			return true
		}
		return answer.Code == "55P03"
	}
	return errors.As(err, &broken) || errors.Is(err, sql.ErrConnDone)
}

// settle says whether the record is done with: handled, seen before, passed over, or dead.
func (payment *Payment) settle(waiting *Waiting) bool {
	record, replay := waiting.record, waiting.replay
	if replay != nil && replay.group != group {
		return true
	}
	eventID, tenant := positionID(record), ""
	envelope, err := open(record)
	if err == nil {
		tenant = envelope.TenantID
		if replay != nil {
			eventID = replay.eventID
		} else if envelope.EventID != "" {
			eventID = envelope.EventID
		}
		err = payment.checker.check(envelope)
	}
	if err == nil {
		waiting.attempts++
		err = transaction(payment.db, func(tx *sql.Tx) error { return payment.handle(tx, waiting, eventID, envelope) })
	}
	if err == nil {
		return true
	}
	if isTrouble(err) {
		waiting.attempts--
		waiting.due = time.Now().Add(time.Second)
		log.Println(err)
		return false
	}
	var dead *Dead
	if !errors.As(err, &dead) {
		if waiting.firstFailedAt == "" {
			waiting.firstFailedAt = now()
		}
		if waiting.attempts <= len(waits) {
			wait := float64(waits[waiting.attempts-1]) * (0.8 + 0.4*rand.Float64())
			waiting.due = time.Now().Add(time.Duration(wait))
			return false
		}
		dead = &Dead{"retries-exhausted", fmt.Sprintf("%T", err), err.Error()}
	}
	if dead.Reason == "id-collision" {
		eventID = positionID(record)
	}
	if err := transaction(payment.db, func(tx *sql.Tx) error { return payment.bury(tx, waiting, dead, eventID, tenant) }); err != nil {
		waiting.due = time.Now().Add(time.Second)
		log.Println(err)
		return false
	}
	return true
}

const ofRow = " WHERE consumer_group = $1 AND epoch = 0 AND tenant_id = $2 AND topic = $3 AND event_id = $4"

func hasWritten(tx *sql.Tx, query string, values ...any) (bool, error) {
	result, err := tx.Exec(query, values...)
	if err != nil {
		return false, err
	}
	count, err := result.RowsAffected()
	return count > 0, err
}

func (payment *Payment) handle(tx *sql.Tx, waiting *Waiting, eventID string, envelope *Envelope) error {
	record, replay := waiting.record, waiting.replay
	isFresh, err := false, error(nil)
	if replay != nil {
		isFresh, err = hasWritten(tx, "UPDATE processed_events SET status = 'done', dlq_id = NULL"+ofRow+" AND status = 'dead' AND dlq_id = $5",
			group, envelope.TenantID, record.Topic, eventID, replay.of)
	}
	if err == nil && !isFresh {
		isFresh, err = claim(tx, record, eventID, envelope.TenantID, "done", nil)
	}
	if err != nil {
		return err
	}
	if isFresh {
		err = capture(tx, eventID, envelope, last(record.Headers, "traceparent"))
	} else if replay == nil {
		var seen []byte
		row := tx.QueryRow("SELECT value_sha256 FROM processed_events"+ofRow, group, envelope.TenantID, record.Topic, eventID)
		if err := row.Scan(&seen); err != nil {
			return err
		}
		if sum := sha256.Sum256(record.Value); !bytes.Equal(seen, sum[:]) {
			return &Dead{"id-collision", "IdCollision", fmt.Sprintf("another event with the id %s was handled", eventID)}
		}
	}
	if err == nil && replay != nil {
		err = tell(tx, replay, map[bool]string{true: "processed", false: "duplicate"}[isFresh])
	}
	return err
}

// capture is the handler: it takes the money, and says so.
func capture(tx *sql.Tx, eventID string, envelope *Envelope, trace string) error {
	var order struct {
		OrderID  string `json:"order_id"`
		Currency string
		Total    string
	}
	if err := json.Unmarshal(envelope.Payload, &order); err != nil {
		return err
	}
	if order.Currency == "XTS" {
		return errors.New("the bank does not answer for this currency")
	}
	if _, err := tx.Exec("INSERT INTO payments VALUES ($1, $2, $3, $4)", eventID, envelope.TenantID, order.OrderID, order.Total); err != nil {
		return err
	}
	payload, err := json.Marshal(map[string]any{"payment_id": "pay-" + eventID, "order_id": order.OrderID, "method": "card",
		"captured_at": now(), "amount": map[string]string{"amount": order.Total, "currency": order.Currency}})
	if err != nil {
		return err
	}
	emitted := &Envelope{derived(eventID, group, 0), "PaymentCaptured", "1.0", now(), service, envelope.TenantID, payload}
	return publish(tx, emitted, namespace+".payment.captured", trace)
}

// claim says whether the row is new.
func claim(tx *sql.Tx, record *Record, eventID, tenant, status string, dlqID any) (bool, error) {
	sum := sha256.Sum256(record.Value)
	return hasWritten(tx, `INSERT INTO processed_events
			(consumer_group, tenant_id, topic, event_id, status, dlq_id, value_sha256, partition_id, record_offset)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
		group, tenant, record.Topic, eventID, status, dlqID, sum[:], record.Partition, record.Offset)
}

// bury writes the dead row and the dead letter in one transaction; the letter only if the row is new, or the replayed one's.
func (payment *Payment) bury(tx *sql.Tx, waiting *Waiting, dead *Dead, eventID, tenant string) error {
	record, replay, failedAt := waiting.record, waiting.replay, now()
	firstFailedAt := waiting.firstFailedAt
	if firstFailedAt == "" {
		firstFailedAt = failedAt
	}
	dlqID := derived(group, record.Topic, record.Partition, record.Offset)
	isAgain, isNew, err := false, false, error(nil)
	if replay != nil {
		isAgain, err = hasWritten(tx, `UPDATE processed_events SET dlq_id = $1
			WHERE consumer_group = $2 AND epoch = 0 AND topic = $3 AND event_id = $4 AND status = 'dead' AND dlq_id = $5`,
			dlqID, group, record.Topic, eventID, replay.of)
	}
	if err == nil && !isAgain {
		isNew, err = claim(tx, record, eventID, tenant, "dead", dlqID)
	}
	if err == nil && (isAgain || isNew) {
		headers := deadLetter(record, &Death{group, service, firstFailedAt, failedAt, eventID, waiting.attempts, dead})
		partition := record.Partition
		err = enqueue(tx, &row{eventID: eventID, topic: record.Topic + ".dlq", partition: &partition, key: record.Key, value: record.Value, headers: headers})
	}
	if err == nil && replay != nil {
		err = tell(tx, replay, map[bool]string{true: "dead-again", false: "duplicate"}[isAgain])
	}
	return err
}

func tell(tx *sql.Tx, replay *Replay, outcome string) error {
	told, err := json.Marshal(map[string]string{"replay_id": replay.id, "dlq_id": replay.of, "group": group, "service": service,
		"event_id": replay.eventID, "outcome": outcome, "at": now()})
	if err != nil {
		return err
	}
	return enqueue(tx, &row{eventID: replay.eventID, topic: namespace + ".event-bus.outcomes", key: []byte(replay.of), value: told,
		headers: []Header{text("content-type", "application/json")}})
}
