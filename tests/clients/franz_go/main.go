// franz-go: produce with every acks and codec it has, consume, share the work in a group, copy in transactions,
// administer, fail well.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const records = 200

var bootstrap = kgo.SeedBrokers(os.Getenv("BOOTSTRAP"))

func fresh(prefix string) string { return fmt.Sprintf("%s-%08x", prefix, rand.Uint32()) }

func check(problem error) {
	if problem != nil {
		panic(problem)
	}
}

func expect(is bool, format string, values ...any) {
	if !is {
		panic(fmt.Sprintf(format, values...))
	}
}

func client(options ...kgo.Opt) *kgo.Client {
	made, problem := kgo.NewClient(append(options, bootstrap)...)
	check(problem)
	return made
}

func admin() *kadm.Client { return kadm.NewClient(client()) }

func create(ctx context.Context, prefix string, partitions int32, configs map[string]*string) string {
	topic := fresh(prefix)
	a := admin()
	defer a.Close()
	_, problem := a.CreateTopic(ctx, partitions, 1, configs, topic)
	check(problem)
	return topic
}

// values reads until as many records are there, and no longer.
func values(ctx context.Context, c *kgo.Client, count int) []string {
	var found []string
	for len(found) < count {
		fetches := c.PollFetches(ctx)
		for _, one := range fetches.Errors() {
			panic(fmt.Sprintf("after %d of %d: %s/%d: %v", len(found), count, one.Topic, one.Partition, one.Err))
		}
		fetches.EachRecord(func(record *kgo.Record) { found = append(found, string(record.Value)) })
	}
	expect(len(found) == count, "%d records instead of %d", len(found), count)
	sort.Strings(found)
	return found
}

func numbered(count int) []string {
	var all []string
	for n := range count {
		all = append(all, fmt.Sprintf("value %06d", n))
	}
	return all
}

func send(ctx context.Context, c *kgo.Client, topic string, texts []string) {
	for n, text := range texts {
		record := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", n), Value: []byte(text)}
		c.Produce(ctx, record, func(_ *kgo.Record, problem error) { check(problem) })
	}
	check(c.Flush(ctx))
}

func everyAcksAndCodec(ctx context.Context) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	allAcks := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}
	for name, codec := range codecs {
		for acksName, acks := range allAcks {
			topic := create(ctx, "franz", 3, nil)
			options := []kgo.Opt{kgo.RequiredAcks(acks), kgo.ProducerBatchCompression(codec)}
			if acksName != "all" {
				options = append(options, kgo.DisableIdempotentWrite())
			}
			producer := client(options...)
			send(ctx, producer, topic, numbered(records))
			consumer := client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			found := values(ctx, consumer, records)
			expect(strings.Join(found, ",") == strings.Join(numbered(records), ","), "%s, acks %s: %v", name, acksName, found)
			producer.Close()
			consumer.Close()
		}
	}
}

func offsetsByTime(ctx context.Context) {
	topic := create(ctx, "franz-times", 1, nil)
	c := client()
	defer c.Close()
	for n := range 10 {
		stamp := time.UnixMilli(1_000_000 + int64(n)*1000)
		check(c.ProduceSync(ctx, &kgo.Record{Topic: topic, Timestamp: stamp, Value: []byte("x")}).FirstErr())
	}
	a := kadm.NewClient(c)
	at, problem := a.ListOffsetsAfterMilli(ctx, 1_004_500, topic)
	check(problem)
	offset, _ := at.Lookup(topic, 0)
	expect(offset.Offset == 5, "the first record after that time is %d", offset.Offset)
	end, problem := a.ListEndOffsets(ctx, topic)
	check(problem)
	offset, _ = end.Lookup(topic, 0)
	expect(offset.Offset == 10, "the end is %d", offset.Offset)
	_, problem = a.DeleteRecords(ctx, kadm.Offsets{topic: {0: {Topic: topic, Partition: 0, At: 4}}})
	check(problem)
	start, problem := a.ListStartOffsets(ctx, topic)
	check(problem)
	offset, _ = start.Lookup(topic, 0)
	expect(offset.Offset == 4, "after the deletion the start is %d", offset.Offset)
}

// Two members of a group, each in its own client, and a third one's view of what they committed.
func group(ctx context.Context) {
	topic, name := create(ctx, "franz-group", 4, nil), fresh("group")
	found := make(chan string)
	reading, stop := context.WithCancel(ctx)
	var members []*kgo.Client
	for range 2 {
		member := client(
			kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(100*time.Millisecond),
		)
		members = append(members, member)
		go func() {
			for reading.Err() == nil {
				fetches := member.PollFetches(reading)
				if member.CommitUncommittedOffsets(reading) == nil {
					fetches.EachRecord(func(record *kgo.Record) { found <- string(record.Value) })
				}
			}
		}()
	}
	a := admin()
	defer a.Close()
	until(ctx, "the group is stable with two members", func() bool {
		described, problem := a.DescribeGroups(ctx, name)
		if errors.Is(problem, kerr.CoordinatorNotAvailable) || errors.Is(problem, kerr.CoordinatorLoadInProgress) {
			return false // the first group's coordinator is being made
		}
		check(problem)
		one := described[name]
		return one.State == "Stable" && len(one.Members) == 2
	})
	producer := client()
	defer producer.Close()
	send(ctx, producer, topic, numbered(records))
	seen := map[string]bool{}
	for len(seen) < records {
		select {
		case value := <-found:
			seen[value] = true
		case <-ctx.Done():
			panic(fmt.Sprintf("the group has read %d of %d", len(seen), records))
		}
	}
	lag, problem := a.Lag(ctx, name)
	check(problem)
	check(lag.Error())
	of := lag[name].Lag.Total()
	expect(of == 0, "the group is %d behind", of)
	stop()
	for _, member := range members {
		member.Close()
	}
	until(ctx, "the group is empty", func() bool {
		described, problem := a.DescribeGroups(ctx, name)
		check(problem)
		return described[name].State == "Empty"
	})
	_, problem = a.DeleteGroup(ctx, name)
	check(problem)
}

// What an aborted transaction has written, readers of committed data do not see; nor do its offsets count.
func transactions(ctx context.Context) {
	source, target := create(ctx, "franz-source", 2, nil), create(ctx, "franz-target", 2, nil)
	name := fresh("copier")
	feeder := client()
	send(ctx, feeder, source, numbered(records))
	feeder.Close()
	session, problem := kgo.NewGroupTransactSession(
		bootstrap, kgo.TransactionalID(name), kgo.ConsumerGroup(name), kgo.ConsumeTopics(source),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RequireStableFetchOffsets(),
	)
	check(problem)
	defer session.Close()
	for round, copied := 0, 0; copied < records; round++ {
		fetches := session.PollRecords(ctx, records/4)
		check(fetches.Err0())
		check(session.Begin())
		fetches.EachRecord(func(record *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Topic: target, Value: record.Value}, func(_ *kgo.Record, problem error) { check(problem) })
		})
		check(session.Client().Flush(ctx)) // what is aborted has been written
		committed, problem := session.End(ctx, kgo.TransactionEndTry(round%2 == 1))
		check(problem)
		expect(committed == (round%2 == 1), "round %d: committed is %v", round, committed)
		if committed {
			copied += fetches.NumRecords()
		}
	}
	consumer := client(
		kgo.ConsumeTopics(target), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	defer consumer.Close()
	found := values(ctx, consumer, records)
	expect(strings.Join(found, ",") == strings.Join(numbered(records), ","), "copied: %v", found)
}

func administer(ctx context.Context) {
	a := admin()
	defer a.Close()
	retention := "3600000"
	topic := create(ctx, "franz-admin", 3, map[string]*string{"retention.ms": &retention})
	again, problem := a.CreateTopics(ctx, 3, 1, nil, topic)
	check(problem)
	expect(errors.Is(again[topic].Err, kerr.TopicAlreadyExists), "created again: %v", again[topic].Err)
	configs, problem := a.DescribeTopicConfigs(ctx, topic)
	check(problem)
	found := ""
	for _, config := range configs[0].Configs {
		if config.Key == "retention.ms" {
			found = *config.Value
		}
	}
	expect(found == retention, "retention.ms is %q", found)
	_, problem = a.CreatePartitions(ctx, 2, topic)
	check(problem)
	until(ctx, "there are five partitions", func() bool {
		topics, problem := a.ListTopics(ctx, topic)
		check(problem)
		return len(topics[topic].Partitions) == 5
	})
	_, problem = a.DeleteTopic(ctx, topic)
	check(problem)
	topics, problem := a.ListTopics(ctx)
	check(problem)
	expect(!topics.Has(topic), "the topic is listed still")
}

func tooLarge(ctx context.Context) {
	limit := "2000"
	topic := create(ctx, "franz-large", 1, map[string]*string{"max.message.bytes": &limit})
	producer := client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer producer.Close()
	record := &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte("x"), 10_000)}
	problem := producer.ProduceSync(ctx, record).FirstErr()
	expect(errors.Is(problem, kerr.MessageTooLarge), "refused with %v", problem)
}

func until(ctx context.Context, what string, is func() bool) {
	for !is() {
		select {
		case <-ctx.Done():
			panic("not in time: " + what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, part := range []struct {
		name string
		run  func(context.Context)
	}{
		{"every acks and codec", everyAcksAndCodec}, {"offsets by time", offsetsByTime}, {"group", group},
		{"transactions", transactions}, {"administer", administer}, {"too large", tooLarge},
	} {
		part.run(ctx)
		fmt.Println("ok", part.name)
	}
}
