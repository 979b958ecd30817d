// Fails at the record of a topic, and lets Watermill's poison queue write the dead letter.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	brokers, topic := []string{os.Args[1]}, os.Args[2]
	logger := watermill.NewStdLogger(false, false)
	settings := kafka.DefaultSaramaSubscriberConfig()
	settings.Consumer.Offsets.Initial = sarama.OffsetOldest
	subscriber := must(kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: brokers, Unmarshaler: kafka.DefaultMarshaler{}, ConsumerGroup: "payment-" + topic, OverwriteSaramaConfig: settings,
	}, logger))
	publisher := must(kafka.NewPublisher(kafka.PublisherConfig{Brokers: brokers, Marshaler: kafka.DefaultMarshaler{}}, logger))
	router := must(message.NewRouter(message.RouterConfig{}, logger))
	router.AddMiddleware(must(middleware.PoisonQueue(publisher, topic+"-poison")))
	router.AddNoPublisherHandler("payments", topic, subscriber, func(letter *message.Message) error {
		if letter.Payload[0] == '{' {
			return errors.New("no money left: 17 pence short")
		}
		return nil
	})
	patience, enough := context.WithTimeout(context.Background(), 20*time.Second)
	defer enough()
	if err := router.Run(patience); err != nil {
		panic(err)
	}
}
