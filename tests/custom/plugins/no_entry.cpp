extern "C" int tutti_plug_in() { return 0; }
