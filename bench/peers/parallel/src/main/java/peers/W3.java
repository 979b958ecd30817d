package peers;

import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.CommitMode;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import io.confluent.parallelconsumer.reactor.ReactorProcessor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;
import reactor.core.publisher.Mono;

/** I/O-bound handler of 5 ms, KEY ordering, 256 at once; "core" blocks a pool thread, "reactor" does not. */
public class W3 {
  static String env(String name) { return System.getenv(name); }

  public static void main(String[] args) throws Exception {
    int events = Integer.parseInt(env("EVENTS"));
    var trace = new ConcurrentLinkedQueue<String>();
    var left = new CountDownLatch(events);
    var consumer = new KafkaConsumer<>(Map.<String, Object>of("bootstrap.servers", env("BOOTSTRAP"), "group.id", env("GROUP"),
        "auto.offset.reset", "earliest", "enable.auto.commit", false, "max.poll.records", 2000),
        new StringDeserializer(), new StringDeserializer());
    var options = ParallelConsumerOptions.<String, String>builder().consumer(consumer).ordering(ProcessingOrder.KEY)
        .maxConcurrency(256).commitMode(CommitMode.PERIODIC_CONSUMER_ASYNCHRONOUS).build();

    if (args[0].equals("core")) {
      var pc = ParallelStreamProcessor.createEosStreamProcessor(options);
      pc.subscribe(List.of(env("TOPIC")));
      pc.poll(c -> {
        long start = System.nanoTime();
        try { Thread.sleep(5); } catch (InterruptedException e) { throw new IllegalStateException(e); }
        trace.add(c.key() + " " + c.offset() + " " + start + " " + System.nanoTime());
        left.countDown();
      });
      left.await();
      pc.closeDrainFirst();
    } else {
      var pc = new ReactorProcessor<>(options);
      pc.subscribe(List.of(env("TOPIC")));
      pc.react(c -> Mono.defer(() -> {
        long start = System.nanoTime();
        return Mono.delay(Duration.ofMillis(5)).doOnNext(x -> {
          trace.add(c.key() + " " + c.offset() + " " + start + " " + System.nanoTime());
          left.countDown();
        });
      }));
      left.await();
      pc.closeDrainFirst();
    }
    Files.write(Path.of(env("TRACE_FILE")), trace);
    System.out.println("{}");
    System.exit(0);
  }
}
