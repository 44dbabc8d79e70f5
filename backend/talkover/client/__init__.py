"""A realtime client with a virtual microphone and loudspeaker: what `talk` and `bench` hold conversations with."""
