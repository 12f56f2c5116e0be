"""GStreamer's webrtcbin as a client of WHIP and WHEP.

    webrtcbin.py publish URL vp8|h264
    webrtcbin.py play URL

Prints one JSON object a line: the answer to the request, each state of the connection, and every half second
the number of decoded frames and audio buffers. SIGTERM ends the session with DELETE.
"""

import json
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request

import gi

for namespace in ("Gst", "GstWebRTC", "GstSdp"):
    gi.require_version(namespace, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

MID = "extmap-1=(string)urn:ietf:params:rtp-hdrext:sdes:mid"
FEEDBACK = "rtcp-fb-nack=(boolean)true,rtcp-fb-nack-pli=(boolean)true,rtcp-fb-ccm-fir=(boolean)true"
RTP = "application/x-rtp,media=(string)"
VP8 = f"{RTP}video,encoding-name=(string)VP8,clock-rate=(int)90000,payload=(int)96,{FEEDBACK},{MID}"
H264 = (
    f"{RTP}video,encoding-name=(string)H264,clock-rate=(int)90000,payload=(int)98,"
    f"packetization-mode=(string)1,profile-level-id=(string)42e01f,{FEEDBACK},{MID}"
)
OPUS = f"{RTP}audio,encoding-name=(string)OPUS,clock-rate=(int)48000,encoding-params=(string)2,payload=(int)97,{MID}"

CAMERA = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=15/1 ! videoconvert"
MICROPHONE = "audiotestsrc is-live=true wave=ticks ! audioconvert ! audioresample ! opusenc"
ENCODERS = {
    "vp8": "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=150 target-bitrate=500000 ! rtpvp8pay picture-id-mode=15-bit pt=96",
    "h264": (
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=150 bitrate=500"
        " ! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 aggregate-mode=zero-latency pt=96"
    ),
}
DECODERS = {
    "VP8": "rtpvp8depay ! vp8dec",
    "H264": "rtph264depay ! h264parse ! openh264dec",
    "OPUS": "rtpopusdepay ! opusdec",
}


def report(**event):
    print(json.dumps(event), flush=True)


class Client:
    def __init__(self, path, url, codec):
        self.url = url
        self.location = None
        self.posted = False
        self.counts = {"video": 0, "audio": 0}
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new()
        self.peer = Gst.ElementFactory.make("webrtcbin", "peer")
        self.peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.peer)
        if path == "publish":
            for source in (f"{CAMERA} ! {ENCODERS[codec]}", f"{MICROPHONE} ! rtpopuspay pt=97"):
                source = Gst.parse_bin_from_description(source, True)
                self.pipeline.add(source)
                source.link(self.peer)
        self.peer.connect("on-negotiation-needed", self.on_negotiation_needed)
        self.peer.connect("notify::ice-gathering-state", self.on_gathering_state)
        self.peer.connect("notify::connection-state", self.on_connection_state)
        self.peer.connect("pad-added", self.on_pad_added)
        if path == "play":
            receive = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            for caps in (OPUS, f"{VP8}; {H264}"):
                self.peer.emit("add-transceiver", receive, Gst.Caps.from_string(caps))
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.on_error)

    def run(self):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, self.stop)
        GLib.timeout_add(500, self.report_counts)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)

    def report_counts(self):
        report(event="counts", **self.counts)
        return True

    def on_error(self, _bus, message):
        error, debug = message.parse_error()
        report(event="error", message=f"{error.message} {debug}")
        self.loop.quit()

    def on_negotiation_needed(self, _peer):
        promise = Gst.Promise.new_with_change_func(self.on_offer)
        self.peer.emit("create-offer", None, promise)

    def on_offer(self, promise):
        # The offer is part of the reply, which must outlive it.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.peer.emit("set-local-description", offer, None)

    def on_gathering_state(self, peer, _property):
        if peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.post)

    def post(self):
        if self.posted:
            return
        self.posted = True
        offer = self.peer.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(self.url, offer.encode(), {"Content-Type": "application/sdp"}, method="POST")
        try:
            with urllib.request.urlopen(request) as response:
                answer = response.read().decode()
                self.location = urllib.parse.urljoin(self.url, response.headers["Location"])
                report(event="answer", status=response.status, location=self.location, offer=offer, answer=answer)
        except urllib.error.HTTPError as error:
            report(event="answer", status=error.code, offer=offer, answer=error.read().decode())
            self.loop.quit()
            return
        _, message = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.peer.emit("set-remote-description", description, None)

    def on_connection_state(self, peer, _property):
        report(event="state", connection=peer.get_property("connection-state").value_nick)

    def on_pad_added(self, _peer, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        caps = pad.get_current_caps().get_structure(0)
        kind, codec = caps.get_string("media"), caps.get_string("encoding-name")
        report(event="stream", kind=kind, codec=codec)
        sink = Gst.parse_bin_from_description(f"queue ! {DECODERS[codec]} ! fakesink name=sink signal-handoffs=true sync=false", True)
        sink.get_by_name("sink").connect("handoff", self.on_buffer, kind)
        self.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def on_buffer(self, _sink, _buffer, _pad, kind):
        self.counts[kind] += 1

    def stop(self):
        if self.location is not None:
            request = urllib.request.Request(self.location, method="DELETE")
            try:
                with urllib.request.urlopen(request) as response:
                    report(event="deleted", status=response.status)
            except urllib.error.HTTPError as error:
                report(event="deleted", status=error.code)
        self.loop.quit()
        return False


Gst.init(None)
Client(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None).run()
