package peers;

import java.util.concurrent.atomic.AtomicInteger;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;
import org.springframework.kafka.annotation.BackOff;
import org.springframework.kafka.annotation.EnableKafkaRetryTopic;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.annotation.RetryableTopic;
import org.springframework.kafka.retrytopic.SameIntervalTopicReuseStrategy;
import org.springframework.scheduling.TaskScheduler;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.stereotype.Component;

/** Poison events: 3 retries 200 ms apart, then the dead letter topic. EVENTS counts the good. Runs until SIGTERM. */
class W7 {
  private static final AtomicInteger good = new AtomicInteger();
  private static volatile long begin;

  static void handle(String value) {
    if (begin == 0) begin = System.currentTimeMillis();
    if (value.contains("\"poison\":true")) throw new IllegalStateException("poison");
    if (good.incrementAndGet() == Harness.EVENTS)
      System.out.printf("{\"began_ms\":%d,\"good_ms\":%d}%n", begin, System.currentTimeMillis());
  }

  @Component
  @Profile("w7-retryable")
  static class NonBlocking {
    @RetryableTopic(attempts = "4", backOff = @BackOff(delay = 200), numPartitions = "6",
        sameIntervalTopicReuseStrategy = SameIntervalTopicReuseStrategy.SINGLE_TOPIC)
    @KafkaListener(topics = "${TOPIC}", groupId = "${GROUP}")
    void on(String value) { handle(value); }
  }

  @Configuration
  @EnableKafkaRetryTopic
  @Profile("w7-retryable")
  static class NonBlockingConfig {
    @Bean TaskScheduler retryScheduler() { return new ThreadPoolTaskScheduler(); }
  }
}
