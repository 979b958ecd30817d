package peers;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** What each workload needs around the peer's own code: its settings, its progress, the line of its result. */
final class Harness {
  static final int EVENTS = Integer.parseInt(env("EVENTS"));

  private Harness() {}

  static String env(String name) { return System.getenv(name); }

  /** Counts handled events; knows when the first handler began and the last one ended. */
  static final class Progress {
    private final AtomicInteger done = new AtomicInteger();
    private final CountDownLatch finished = new CountDownLatch(1);
    private volatile long began, ended;

    void begin() {
      if (began == 0) synchronized (this) { if (began == 0) began = System.nanoTime(); }
    }

    void add(int events) {
      if (done.addAndGet(events) == EVENTS) {
        ended = System.nanoTime();
        finished.countDown();
      }
    }

    void await() throws InterruptedException { finished.await(); }

    void print() { System.out.printf("{\"seconds\":%.4f}%n", (ended - began) / 1e9); }
  }
}
