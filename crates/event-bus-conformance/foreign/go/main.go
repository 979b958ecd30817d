// The matrix by franz-go: create, produce, consume in a group of three, commit, reset, describe, delete.
//
// Run as `matrix HOST:PORT`; says what it checked, and ends with the first thing that was wrong.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	records    = 500
	partitions = 6
	members    = 3
	deadline   = 60 * time.Second
)

var (
	unique    = fmt.Sprintf("%x", time.Now().UnixNano())
	topic     = "go-" + unique
	group     = "go-group-" + unique
	bootstrap string
)

func fail(format string, arguments ...any) {
	fmt.Printf(format+"\n", arguments...)
	os.Exit(1)
}

func check(what string, seen, wanted any) {
	if fmt.Sprint(seen) != fmt.Sprint(wanted) {
		fail("%s: seen %v, wanted %v", what, seen, wanted)
	}
	fmt.Println("ok:", what)
}

func must(what string, err error) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

// until polls a condition; a request that fails while it does is asked again.
func until(what string, holds func() bool) {
	for end := time.Now().Add(deadline); !holds(); {
		if time.Now().After(end) {
			fail("%s: not within %v", what, deadline)
		}
		<-time.After(50 * time.Millisecond)
	}
	fmt.Println("ok:", what)
}

func client(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(bootstrap))...)
	must("a client", err)
	return client
}

func create(ctx context.Context, admin *kadm.Client) {
	retention := "3600000"
	_, err := admin.CreateTopic(ctx, partitions, 1, map[string]*string{"retention.ms": &retention}, topic)
	must("the topic is created", err)
	until("the topic has its partitions", func() bool {
		described, err := admin.ListTopics(ctx, topic)
		return err == nil && described[topic].Err == nil && len(described[topic].Partitions) == partitions
	})
}

// produce writes with every codec from idempotent producers.
func produce(ctx context.Context) {
	codecs := []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	}
	for number, codec := range codecs {
		producer := client(kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic))
		var batch []*kgo.Record
		for record := 0; record < records/len(codecs); record++ {
			name := fmt.Sprintf("%d-%d-a-value-that-can-be-compressed-compressed-compressed", number, record)
			batch = append(batch, kgo.KeySliceRecord([]byte(name), []byte(name)))
		}
		must("records are acknowledged", producer.ProduceSync(ctx, batch...).FirstErr())
		producer.Close()
	}
	check("records of every codec are acknowledged", len(codecs), 5)
}

// member reads until its context ends, commits what it reads, and leaves.
func member(ctx context.Context, values chan<- string, done *sync.WaitGroup) *kgo.Client {
	consumer := client(
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(500*time.Millisecond),
	)
	done.Add(1)
	go func() {
		defer done.Done()
		for ctx.Err() == nil {
			fetches := consumer.PollFetches(ctx)
			fetches.EachRecord(func(record *kgo.Record) { values <- string(record.Value) })
			// At once: the first that leaves makes the others begin again where they committed.
			if err := consumer.CommitUncommittedOffsets(context.Background()); err != nil {
				fail("a member commits: %v", err)
			}
		}
		consumer.Close()
	}()
	return consumer
}

func consumeInAGroup(ctx context.Context, admin *kadm.Client) {
	reading, stop := context.WithCancel(ctx)
	values := make(chan string, 2*records)
	var done sync.WaitGroup
	for number := 0; number < members; number++ {
		member(reading, values, &done)
	}
	until("three members share the partitions", func() bool {
		described, err := admin.DescribeGroups(ctx, group)
		if err != nil || described[group].State != "Stable" || len(described[group].Members) != members {
			return false
		}
		assigned := 0
		for _, member := range described[group].Members {
			if assignment, ok := member.Assigned.AsConsumer(); ok {
				for _, topic := range assignment.Topics {
					assigned += len(topic.Partitions)
				}
			}
		}
		return assigned == partitions
	})
	produce(ctx)
	until("every record is read", func() bool { return len(values) >= records })
	stop()
	done.Wait()
	close(values)
	seen := map[string]bool{}
	count := 0
	for value := range values {
		seen[value] = true
		count++
	}
	check("no record is read twice", count, len(seen))
}

func committed(ctx context.Context, admin *kadm.Client) (sum int64) {
	offsets, err := admin.FetchOffsets(ctx, group)
	must("the group's offsets are told", err)
	offsets.Each(func(offset kadm.OffsetResponse) { sum += offset.At })
	return sum
}

func sumOf(what string, offsets kadm.ListedOffsets, err error) (sum int64) {
	must(what, err)
	must(what, offsets.Error())
	offsets.Each(func(offset kadm.ListedOffset) { sum += offset.Offset })
	return sum
}

func commitAndReset(ctx context.Context, admin *kadm.Client) {
	check("the group's offsets are committed", committed(ctx, admin), records)
	starts, err := admin.ListStartOffsets(ctx, topic)
	must("the starts are told", err)
	must("the offsets are reset", admin.CommitAllOffsets(ctx, group, starts.Offsets()))
	check("the group's offsets are reset", committed(ctx, admin), 0)
	reading, stop := context.WithCancel(ctx)
	values := make(chan string, 2*records)
	var done sync.WaitGroup
	member(reading, values, &done)
	until("every record is read again", func() bool { return len(values) == records })
	stop()
	done.Wait()
	afterEpoch, err := admin.ListOffsetsAfterMilli(ctx, 1, topic)
	check("a time leads to the first records", sumOf("offsets by time", afterEpoch, err), 0)
}

// transact writes one aborted and one committed transaction.
func transact(ctx context.Context) {
	producer := client(kgo.TransactionalID("go-" + unique))
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		must("a transaction begins", producer.BeginTransaction())
		record := &kgo.Record{Topic: topic, Value: []byte(fmt.Sprint("committed: ", bool(end)))}
		must("a record in a transaction", producer.ProduceSync(ctx, record).FirstErr())
		must("a transaction ends", producer.EndTransaction(ctx, end))
	}
	producer.Close()
	reader := client(
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	defer reader.Close()
	seen := map[string]bool{}
	until("the committed transaction is read", func() bool {
		reader.PollFetches(ctx).EachRecord(func(record *kgo.Record) { seen[string(record.Value)] = true })
		return seen["committed: true"]
	})
	check("the aborted transaction is not read", seen["committed: false"], false)
}

func describeAndDelete(ctx context.Context, admin *kadm.Client) {
	retention := func() string {
		configs, err := admin.DescribeTopicConfigs(ctx, topic)
		must("the topic's settings are described", err)
		for _, config := range configs[0].Configs {
			if config.Key == "retention.ms" {
				return config.MaybeValue()
			}
		}
		return ""
	}
	check("the topic's setting is described", retention(), "3600000")
	value := "7200000"
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &value}}, topic)
	must("the topic's setting is changed", err)
	must("the topic's setting is changed", altered[0].Err)
	until("the topic's setting is changed", func() bool { return retention() == value })
	grown, err := admin.CreatePartitions(ctx, 1, topic)
	must("the topic grows", err)
	must("the topic grows", grown[topic].Err)
	until("the topic has grown", func() bool {
		described, err := admin.ListTopics(ctx, topic)
		return err == nil && len(described[topic].Partitions) == partitions+1
	})
	lags, err := admin.Lag(ctx, group)
	must("the group's lag is told", err)
	lag := lags[group]
	must("the group's lag is told", lag.Error())
	ends, err := admin.ListEndOffsets(ctx, topic)
	end := sumOf("the ends are told", ends, err)
	_, err = admin.DeleteRecords(ctx, ends.Offsets())
	must("all records are deleted", err)
	starts, err := admin.ListStartOffsets(ctx, topic)
	check("all records are deleted", sumOf("the starts are told", starts, err), end)
	brokers, err := admin.ListBrokers(ctx)
	must("the brokers are listed", err)
	check("the cluster has one broker", len(brokers), 1)
	deleted, err := admin.DeleteGroups(ctx, group)
	must("the group is deleted", err)
	must("the group is deleted", deleted[group].Err)
	groups, err := admin.ListGroups(ctx)
	must("groups are listed", err)
	_, listed := groups[group]
	check("the group is gone", listed, false)
	gone, err := admin.DeleteTopics(ctx, topic)
	must("the topic is deleted", err)
	must("the topic is deleted", gone[topic].Err)
	until("the topic is gone", func() bool {
		topics, err := admin.ListTopics(ctx)
		return err == nil && !topics.Has(topic)
	})
}

func main() {
	bootstrap = os.Args[1]
	ctx, cancel := context.WithTimeout(context.Background(), 3*deadline)
	defer cancel()
	admin := kadm.NewClient(client())
	defer admin.Close()
	create(ctx, admin)
	consumeInAGroup(ctx, admin)
	commitAndReset(ctx, admin)
	transact(ctx)
	describeAndDelete(ctx, admin)
}
