package compat;

import java.util.Map;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Deserializer;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.annotation.EnableKafka;
import org.springframework.kafka.annotation.EnableKafkaRetryTopic;
import org.springframework.kafka.annotation.BackOff;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.annotation.RetryableTopic;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaAdmin;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.kafka.support.serializer.ErrorHandlingDeserializer;
import org.springframework.scheduling.TaskScheduler;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.util.backoff.FixedBackOff;

/** Fails at the records of four topics, each in another way, and lets Spring Kafka write the dead letters. Ends by SIGTERM. */
@Configuration
@EnableKafka
@EnableKafkaRetryTopic
public class Recorder {
  static final String BOOTSTRAP = System.getenv("BOOTSTRAP");

  public static void main(String[] arguments) {
    new AnnotationConfigApplicationContext(Recorder.class).registerShutdownHook();
  }

  static class NoMoney extends RuntimeException {
    NoMoney() { super("no money left: 17 pence short"); }
  }

  static void handle(ConsumerRecord<byte[], byte[]> record) {
    if (record.value() == null || record.value()[0] == '{') throw new NoMoney();
  }

  @KafkaListener(topics = "spring-listener", groupId = "payment", containerFactory = "plain")
  public void listen(ConsumerRecord<byte[], byte[]> record) { handle(record); }

  @KafkaListener(topics = "spring-told", groupId = "payment-told", containerFactory = "told")
  public void listenTold(ConsumerRecord<byte[], byte[]> record) { handle(record); }

  @KafkaListener(topics = "spring-deserializer", groupId = "payment-strict", containerFactory = "strict")
  public void listenStrict(ConsumerRecord<byte[], byte[]> record) {}

  @RetryableTopic(attempts = "3", backOff = @BackOff(delay = 100), kafkaTemplate = "template")
  @KafkaListener(topics = "spring-retry", groupId = "payment-retry", containerFactory = "retry")
  public void listenRetry(ConsumerRecord<byte[], byte[]> record) { handle(record); }

  static class Strict implements Deserializer<byte[]> {
    @Override public byte[] deserialize(String topic, byte[] bytes) {
      if (bytes[0] == '{') throw new IllegalArgumentException("not what was agreed on");
      return bytes;
    }
  }

  static Map<String, Object> settings() {
    return Map.of("bootstrap.servers", BOOTSTRAP, "auto.offset.reset", "earliest");
  }

  ConcurrentKafkaListenerContainerFactory<byte[], byte[]> factory(Deserializer<byte[]> values) {
    var factory = new ConcurrentKafkaListenerContainerFactory<byte[], byte[]>();
    factory.setConsumerFactory(new DefaultKafkaConsumerFactory<>(settings(), new ByteArrayDeserializer(), values));
    return factory;
  }

  DefaultErrorHandler handler() {
    return new DefaultErrorHandler(new DeadLetterPublishingRecoverer(template()), new FixedBackOff(10, 2));
  }

  @Bean ConcurrentKafkaListenerContainerFactory<byte[], byte[]> plain() {
    var factory = factory(new ByteArrayDeserializer());
    factory.setCommonErrorHandler(handler());
    return factory;
  }

  /** With the two headers that a container may add to what it hands over, and that so reach the dead letter. */
  @Bean ConcurrentKafkaListenerContainerFactory<byte[], byte[]> told() {
    var factory = factory(new ByteArrayDeserializer());
    factory.setCommonErrorHandler(handler());
    factory.getContainerProperties().setDeliveryAttemptHeader(true);
    factory.setContainerCustomizer(container -> container.setListenerInfo("payments".getBytes()));
    return factory;
  }

  @Bean ConcurrentKafkaListenerContainerFactory<byte[], byte[]> strict() {
    var factory = factory(new ErrorHandlingDeserializer<>(new Strict()));
    factory.setCommonErrorHandler(handler());
    return factory;
  }

  @Bean ConcurrentKafkaListenerContainerFactory<byte[], byte[]> retry() { return factory(new ByteArrayDeserializer()); }

  @Bean KafkaTemplate<byte[], byte[]> template() {
    return new KafkaTemplate<>(new DefaultKafkaProducerFactory<>(settings(), new ByteArraySerializer(), new ByteArraySerializer()));
  }

  @Bean KafkaAdmin admin() { return new KafkaAdmin(settings()); }

  @Bean TaskScheduler scheduler() { return new ThreadPoolTaskScheduler(); }

  static NewTopic dead(String topic) { return new NewTopic(topic + "-dlt", 3, (short) 1); }

  @Bean NewTopic listenerDead() { return dead("spring-listener"); }
  @Bean NewTopic toldDead() { return dead("spring-told"); }
  @Bean NewTopic deserializerDead() { return dead("spring-deserializer"); }
}
