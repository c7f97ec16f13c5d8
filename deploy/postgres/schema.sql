-- The schemas of all services as the migrations make them. Written by `make dump-schema`, compared by a test.
-- Everything belongs to genonaut_admin; who may do what with it is in provisioning.py.

CREATE SCHEMA analytics;

CREATE SCHEMA content;

CREATE SCHEMA generation;

CREATE SCHEMA notifications;

CREATE FUNCTION analytics.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$;

CREATE FUNCTION content.grams(word text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$SELECT array_agg(DISTINCT substr(word, place, 3)) FROM generate_series(1, length(word) - 2) AS place$$;

CREATE FUNCTION content.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$;

CREATE FUNCTION content.refuse_new_prompt() RETURNS trigger
    LANGUAGE plpgsql
    AS $$BEGIN RAISE EXCEPTION 'the prompt of a content item never changes' USING ERRCODE = 'check_violation'; END$$;

CREATE FUNCTION content.search_facets(keys integer[]) RETURNS integer[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY(SELECT u.key FROM unnest(search_facets.keys) u(key) WHERE ((u.key & 7) <> 0));

CREATE FUNCTION content.search_rows_deleted() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'content'
    AS $$BEGIN 
    PERFORM pg_advisory_xact_lock_shared(hashtext('genonaut search positions'));
    PERFORM FROM search_tail t WHERE t.item_id IN (SELECT c.item_id FROM old_rows c) ORDER BY t.item_id FOR UPDATE;

    INSERT INTO search_tail (item_id, created_at, keys, block, position, folded_keys)
    SELECT o.item_id, o.created_at, NULL, p.block, p.position, CASE WHEN p.block IS NOT NULL THEN o.keys END
    FROM old_rows o LEFT JOIN search_positions p USING (item_id)
    ON CONFLICT (item_id) DO UPDATE SET keys = NULL;
    RETURN NULL;
 END$$;

CREATE FUNCTION content.search_rows_inserted() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'content'
    AS $$BEGIN 
    PERFORM pg_advisory_xact_lock_shared(hashtext('genonaut search positions'));
    PERFORM FROM search_tail t WHERE t.item_id IN (SELECT c.item_id FROM new_rows c) ORDER BY t.item_id FOR UPDATE;

    INSERT INTO search_tail (item_id, created_at, keys)
    SELECT n.item_id, n.created_at, n.keys FROM new_rows n
    ON CONFLICT (item_id) DO UPDATE SET keys = excluded.keys;
    RETURN NULL;
 END$$;

CREATE FUNCTION content.search_rows_updated() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'content'
    AS $$BEGIN 
    PERFORM pg_advisory_xact_lock_shared(hashtext('genonaut search positions'));
    PERFORM FROM search_tail t WHERE t.item_id IN (SELECT c.item_id FROM new_rows c) ORDER BY t.item_id FOR UPDATE;

    INSERT INTO search_tail (item_id, created_at, keys, block, position, folded_keys)
    SELECT n.item_id, n.created_at, n.keys, p.block, p.position, CASE WHEN p.block IS NOT NULL THEN o.keys END
    FROM new_rows n JOIN old_rows o USING (item_id) LEFT JOIN search_positions p USING (item_id)
    WHERE n.keys <> o.keys
    ON CONFLICT (item_id) DO UPDATE SET keys = excluded.keys;
    RETURN NULL;
 END$$;

CREATE FUNCTION generation.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$;

CREATE FUNCTION notifications.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$;

CREATE TABLE analytics.attempts (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    started integer NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE analytics.dead_letters (
    id bigint NOT NULL,
    consumer text NOT NULL,
    stream_sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    deliveries integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    redriven_at timestamp with time zone
);

ALTER TABLE analytics.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME analytics.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE analytics.events (
    "position" bigint NOT NULL,
    id uuid NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    dataversion integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    data jsonb NOT NULL,
    CONSTRAINT events_version_check CHECK ((version > 0))
);

ALTER TABLE analytics.events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME analytics.events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE analytics.generation_durations_hourly (
    hour timestamp with time zone NOT NULL,
    bucket integer NOT NULL,
    generations bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE analytics.generation_events (
    hour timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    event_type text NOT NULL,
    job_id bigint NOT NULL,
    user_id uuid NOT NULL,
    generation_type text,
    success boolean,
    duration_ms bigint,
    queue_wait_ms bigint,
    error_type text,
    error_message text,
    model_checkpoint text,
    width integer,
    height integer,
    batch_size integer,
    images integer
);

CREATE TABLE analytics.generation_metrics_hourly (
    hour timestamp with time zone NOT NULL,
    latest_event_at timestamp with time zone NOT NULL,
    total_requests bigint NOT NULL,
    started_attempts bigint NOT NULL,
    successful_generations bigint NOT NULL,
    failed_generations bigint NOT NULL,
    cancelled_generations bigint NOT NULL,
    total_images_generated bigint NOT NULL,
    duration_ms_sum bigint NOT NULL,
    queue_wait_ms_sum bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE analytics.generation_users_hourly (
    hour timestamp with time zone NOT NULL,
    user_id uuid NOT NULL
);

CREATE TABLE analytics.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE analytics.outbox (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    restored_at timestamp with time zone
);

CREATE TABLE analytics.route_analytics (
    hour timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    route text NOT NULL,
    method text NOT NULL,
    user_id uuid,
    duration_us bigint NOT NULL,
    status_code integer NOT NULL,
    query_params jsonb NOT NULL,
    query_params_normalized jsonb NOT NULL,
    request_size_bytes bigint NOT NULL,
    response_size_bytes bigint NOT NULL,
    error_type text
);

CREATE TABLE analytics.route_analytics_hourly (
    hour timestamp with time zone NOT NULL,
    pattern_id uuid NOT NULL,
    route text NOT NULL,
    method text NOT NULL,
    query_params_normalized jsonb NOT NULL,
    total_requests bigint NOT NULL,
    successful_requests bigint NOT NULL,
    client_errors bigint NOT NULL,
    server_errors bigint NOT NULL,
    duration_us_sum bigint NOT NULL,
    request_bytes_sum bigint NOT NULL,
    response_bytes_sum bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE analytics.route_durations_hourly (
    hour timestamp with time zone NOT NULL,
    pattern_id uuid NOT NULL,
    bucket integer NOT NULL,
    requests bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE analytics.route_users_hourly (
    hour timestamp with time zone NOT NULL,
    pattern_id uuid NOT NULL,
    user_id uuid NOT NULL
);

CREATE TABLE analytics.schema_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE analytics.verifications (
    projection text NOT NULL,
    verified_at timestamp with time zone DEFAULT now() NOT NULL,
    events bigint NOT NULL,
    equal boolean NOT NULL
);

CREATE TABLE content.attempts (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    started integer NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE content.content_items_all (
    id bigint NOT NULL,
    source_type text NOT NULL,
    title character varying(255) NOT NULL,
    content_type text NOT NULL,
    content_data text,
    prompt character varying(20000) NOT NULL,
    creator_id uuid NOT NULL,
    item_metadata jsonb NOT NULL,
    quality_score double precision NOT NULL,
    is_private boolean NOT NULL,
    path_thumb character varying(512),
    image_sha256 text,
    job_id bigint,
    image_index integer,
    search_text text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT content_items_all_quality_score_check CHECK (((quality_score >= (0)::double precision) AND (quality_score <= (1)::double precision)))
)
PARTITION BY LIST (source_type);

CREATE TABLE content.content_items (
    id bigint NOT NULL,
    source_type text NOT NULL,
    title character varying(255) NOT NULL,
    content_type text NOT NULL,
    content_data text,
    prompt character varying(20000) NOT NULL,
    creator_id uuid NOT NULL,
    item_metadata jsonb NOT NULL,
    quality_score double precision NOT NULL,
    is_private boolean NOT NULL,
    path_thumb character varying(512),
    image_sha256 text,
    job_id bigint,
    image_index integer,
    search_text text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT content_items_all_quality_score_check CHECK (((quality_score >= (0)::double precision) AND (quality_score <= (1)::double precision)))
);

CREATE TABLE content.content_items_auto (
    id bigint NOT NULL,
    source_type text NOT NULL,
    title character varying(255) NOT NULL,
    content_type text NOT NULL,
    content_data text,
    prompt character varying(20000) NOT NULL,
    creator_id uuid NOT NULL,
    item_metadata jsonb NOT NULL,
    quality_score double precision NOT NULL,
    is_private boolean NOT NULL,
    path_thumb character varying(512),
    image_sha256 text,
    job_id bigint,
    image_index integer,
    search_text text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT content_items_all_quality_score_check CHECK (((quality_score >= (0)::double precision) AND (quality_score <= (1)::double precision)))
);

CREATE SEQUENCE content.content_items_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE content.search_keys (
    id uuid NOT NULL,
    key integer NOT NULL
);

CREATE TABLE content.search_rows (
    item_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    keys integer[] NOT NULL
);

CREATE VIEW content.content_tags AS
 SELECT i.id AS content_id,
    i.source_type AS content_source,
    k.id AS tag_id
   FROM (((content.content_items_all i
     JOIN content.search_rows r ON ((r.item_id = i.id)))
     CROSS JOIN LATERAL unnest(r.keys) u(key))
     JOIN content.search_keys k ON ((k.key = u.key)))
  WHERE ((u.key & 7) = 0);

CREATE TABLE content.credentials (
    user_id uuid NOT NULL,
    password_hash text NOT NULL,
    changed_at timestamp with time zone NOT NULL
);

CREATE TABLE content.dead_letters (
    id bigint NOT NULL,
    consumer text NOT NULL,
    stream_sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    deliveries integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    redriven_at timestamp with time zone
);

ALTER TABLE content.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME content.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE content.events (
    "position" bigint NOT NULL,
    id uuid NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    dataversion integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    data jsonb NOT NULL,
    CONSTRAINT events_version_check CHECK ((version > 0))
)
WITH (toast_tuple_target='4080');

ALTER TABLE content.events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME content.events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE content.image_uploads (
    sha256 text NOT NULL,
    user_id uuid NOT NULL
);

CREATE TABLE content.images (
    sha256 text NOT NULL,
    media_type text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    size_bytes bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone NOT NULL,
    shown_by integer NOT NULL,
    was_shown boolean NOT NULL,
    retired_at timestamp with time zone
);

CREATE TABLE content.imports (
    digest text NOT NULL,
    line bigint NOT NULL,
    items bigint NOT NULL,
    skipped bigint NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE TABLE content.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE content.interaction_client_ids (
    user_id uuid NOT NULL,
    client_id text NOT NULL,
    interaction_id bigint NOT NULL
);

CREATE TABLE content.interaction_creators (
    user_id uuid NOT NULL,
    creator_id uuid NOT NULL,
    shown bigint NOT NULL,
    total bigint NOT NULL
);

CREATE TABLE content.interaction_item_counts (
    item_id bigint NOT NULL,
    facet text NOT NULL,
    value text NOT NULL,
    total bigint NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE content.interaction_items (
    item_id bigint NOT NULL,
    creator_id uuid NOT NULL,
    kind text NOT NULL,
    audience uuid NOT NULL
);

CREATE TABLE content.interaction_pairs (
    user_id uuid NOT NULL,
    item_id bigint NOT NULL,
    shown bigint NOT NULL,
    total bigint NOT NULL
);

CREATE TABLE content.interaction_totals (
    audience uuid NOT NULL,
    facet text NOT NULL,
    value text NOT NULL,
    stripe smallint NOT NULL,
    total bigint NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE content.interaction_user_counts (
    user_id uuid NOT NULL,
    facet text NOT NULL,
    value text NOT NULL,
    shown bigint NOT NULL,
    total bigint NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE content.item_popularity (
    item_id bigint NOT NULL,
    popularity bigint NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE content.outbox (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    restored_at timestamp with time zone
);

CREATE TABLE content.recommendation_items (
    item_id bigint NOT NULL,
    is_private boolean NOT NULL
);

CREATE TABLE content.recommendation_totals (
    facet text NOT NULL,
    value text NOT NULL,
    stripe smallint NOT NULL,
    total bigint NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE content.recommendation_user_counts (
    user_id uuid NOT NULL,
    facet text NOT NULL,
    value text NOT NULL,
    shown bigint NOT NULL,
    total bigint NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE content.recommendations (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    content_item_id bigint NOT NULL,
    recommendation_score double precision NOT NULL,
    algorithm text NOT NULL,
    algorithm_version text NOT NULL,
    metadata jsonb NOT NULL,
    reasons jsonb NOT NULL,
    generated boolean NOT NULL,
    shown boolean NOT NULL,
    feedback text,
    comment text,
    served_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT recommendations_recommendation_score_check CHECK (((recommendation_score >= (0)::double precision) AND (recommendation_score <= (1)::double precision)))
);

CREATE SEQUENCE content.recommendations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE content.schema_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE content.search_blocks (
    block integer NOT NULL,
    first_at timestamp with time zone NOT NULL,
    first_id bigint NOT NULL,
    last_at timestamp with time zone NOT NULL,
    last_id bigint NOT NULL,
    next_position integer NOT NULL,
    version uuid DEFAULT gen_random_uuid() NOT NULL
);

CREATE SEQUENCE content.search_blocks_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE content.search_positions (
    block integer NOT NULL,
    "position" integer NOT NULL,
    item_id bigint NOT NULL
);

CREATE TABLE content.search_segments (
    key integer NOT NULL,
    block integer NOT NULL,
    cardinality integer NOT NULL,
    bits bytea NOT NULL
);
ALTER TABLE ONLY content.search_segments ALTER COLUMN bits SET STORAGE EXTERNAL;

CREATE TABLE content.search_tail (
    item_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    keys integer[],
    block integer,
    "position" integer,
    folded_keys integer[],
    facets integer[] GENERATED ALWAYS AS (content.search_facets(keys)) STORED
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000');

CREATE TABLE content.search_word_revision (
    id smallint NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT search_word_revision_id_check CHECK ((id = 1))
)
WITH (fillfactor='20');

CREATE TABLE content.tag_aliases (
    alias_id uuid NOT NULL,
    alias text NOT NULL,
    tag_id uuid NOT NULL
);

CREATE TABLE content.tag_cardinality_stats (
    tag_id uuid NOT NULL,
    content_source text NOT NULL,
    cardinality bigint NOT NULL,
    updated_at timestamp with time zone NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE content.tag_closure (
    ancestor_id uuid NOT NULL,
    descendant_id uuid NOT NULL,
    depth integer NOT NULL,
    CONSTRAINT tag_closure_depth_check CHECK ((depth > 0))
);

CREATE TABLE content.tag_favorites (
    user_id uuid NOT NULL,
    tag_id uuid NOT NULL
);

CREATE TABLE content.tag_implications (
    tag_id uuid NOT NULL,
    implied_id uuid NOT NULL
);

CREATE TABLE content.tag_parents (
    tag_id uuid NOT NULL,
    parent_id uuid NOT NULL
);

CREATE TABLE content.tag_rating_totals (
    tag_id uuid NOT NULL,
    rating_count integer NOT NULL,
    half_stars bigint NOT NULL,
    CONSTRAINT tag_rating_totals_half_stars_check CHECK ((half_stars >= 0)),
    CONSTRAINT tag_rating_totals_rating_count_check CHECK ((rating_count >= 0))
);

CREATE TABLE content.tag_ratings (
    user_id uuid NOT NULL,
    tag_id uuid NOT NULL,
    half_stars smallint NOT NULL,
    CONSTRAINT tag_ratings_half_stars_check CHECK (((half_stars >= 2) AND (half_stars <= 10)))
);

CREATE TABLE content.tag_word_revisions (
    shard smallint NOT NULL,
    revision bigint NOT NULL
);

CREATE TABLE content.tags (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    is_private boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE content.tags_number_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 134217727
    CACHE 1;

CREATE TABLE content.user_interactions (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    content_item_id bigint NOT NULL,
    interaction_type text NOT NULL,
    rating smallint,
    duration integer,
    metadata jsonb NOT NULL,
    audience uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT user_interactions_duration_check CHECK ((duration >= 0)),
    CONSTRAINT user_interactions_rating_check CHECK (((rating >= 1) AND (rating <= 5)))
);

CREATE SEQUENCE content.user_interactions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE content.user_job_counts (
    user_id uuid NOT NULL,
    is_private boolean NOT NULL,
    pending integer NOT NULL,
    running integer NOT NULL,
    completed integer NOT NULL,
    failed integer NOT NULL,
    cancelled integer NOT NULL
);

CREATE TABLE content.user_jobs (
    job_id bigint NOT NULL,
    user_id uuid NOT NULL,
    is_private boolean,
    status text NOT NULL,
    sequence integer NOT NULL
);

CREATE TABLE content.users (
    id uuid NOT NULL,
    username text NOT NULL,
    email text NOT NULL,
    is_active boolean NOT NULL,
    preferences jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE content.users_number_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 134217727
    CACHE 1;

CREATE TABLE content.verifications (
    projection text NOT NULL,
    verified_at timestamp with time zone DEFAULT now() NOT NULL,
    events bigint NOT NULL,
    equal boolean NOT NULL
);

CREATE TABLE generation.attempts (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    started integer NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE generation.dead_letters (
    id bigint NOT NULL,
    consumer text NOT NULL,
    stream_sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    deliveries integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    redriven_at timestamp with time zone
);

ALTER TABLE generation.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME generation.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE generation.driven_servers (
    driver uuid NOT NULL,
    name text NOT NULL,
    fit boolean NOT NULL,
    told_at timestamp with time zone NOT NULL
);

CREATE TABLE generation.events (
    "position" bigint NOT NULL,
    id uuid NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    dataversion integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    data jsonb NOT NULL,
    CONSTRAINT events_version_check CHECK ((version > 0))
);

ALTER TABLE generation.events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME generation.events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE generation.generation_jobs (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    job_type text NOT NULL,
    status text NOT NULL,
    prompt text NOT NULL,
    params jsonb NOT NULL,
    content_id bigint,
    content_ids jsonb NOT NULL,
    error_message text,
    error_type text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    dispatch_id uuid NOT NULL,
    negative_prompt text NOT NULL,
    checkpoint_model text NOT NULL,
    lora_models jsonb NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    batch_size integer NOT NULL,
    sampler_params jsonb NOT NULL,
    comfyui_prompt_id uuid,
    output_paths jsonb NOT NULL,
    thumbnail_paths jsonb NOT NULL,
    attempt integer NOT NULL,
    is_private boolean NOT NULL
);

CREATE TABLE generation.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE generation.item_arrivals (
    job_id bigint NOT NULL,
    image_index integer NOT NULL,
    content_id bigint NOT NULL
);

CREATE TABLE generation.job_leases (
    job_id bigint NOT NULL,
    holder uuid NOT NULL,
    takes integer NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE generation.jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE generation.known_users (
    user_id uuid NOT NULL,
    registered_at timestamp with time zone,
    is_active boolean NOT NULL,
    decided_by integer NOT NULL
);

CREATE TABLE generation.outbox (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    restored_at timestamp with time zone
);

CREATE TABLE generation.schema_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE generation.verifications (
    projection text NOT NULL,
    verified_at timestamp with time zone DEFAULT now() NOT NULL,
    events bigint NOT NULL,
    equal boolean NOT NULL
);

CREATE TABLE notifications.attempts (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    started integer NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE notifications.dead_letters (
    id bigint NOT NULL,
    consumer text NOT NULL,
    stream_sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    deliveries integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    redriven_at timestamp with time zone
);

ALTER TABLE notifications.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME notifications.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE notifications.events (
    "position" bigint NOT NULL,
    id uuid NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    dataversion integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    data jsonb NOT NULL,
    CONSTRAINT events_version_check CHECK ((version > 0))
);

ALTER TABLE notifications.events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME notifications.events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE notifications.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE notifications.outbox (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    restored_at timestamp with time zone
);

CREATE TABLE notifications.recipients (
    user_id uuid NOT NULL,
    username text,
    notifications_enabled boolean NOT NULL,
    decided_by bigint NOT NULL
);

CREATE TABLE notifications.schema_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE notifications.user_notifications (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    cause text NOT NULL,
    title character varying(255) NOT NULL,
    message text NOT NULL,
    notification_type text NOT NULL,
    read_status boolean NOT NULL,
    related_job_id bigint,
    related_content_id bigint,
    created_at timestamp with time zone NOT NULL,
    read_at timestamp with time zone
);

CREATE SEQUENCE notifications.user_notifications_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE notifications.verifications (
    projection text NOT NULL,
    verified_at timestamp with time zone DEFAULT now() NOT NULL,
    events bigint NOT NULL,
    equal boolean NOT NULL
);

ALTER TABLE ONLY content.content_items_all ATTACH PARTITION content.content_items FOR VALUES IN ('items');

ALTER TABLE ONLY content.content_items_all ATTACH PARTITION content.content_items_auto FOR VALUES IN ('auto');

ALTER TABLE ONLY analytics.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY analytics.dead_letters
    ADD CONSTRAINT dead_letters_consumer_stream_sequence_stored_at_key UNIQUE (consumer, stream_sequence, stored_at);

ALTER TABLE ONLY analytics.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY analytics.events
    ADD CONSTRAINT events_id_key UNIQUE (id);

ALTER TABLE ONLY analytics.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY analytics.events
    ADD CONSTRAINT events_stream_version_key UNIQUE (stream, version);

ALTER TABLE ONLY analytics.generation_durations_hourly
    ADD CONSTRAINT generation_durations_hourly_pkey PRIMARY KEY (hour, bucket);

ALTER TABLE ONLY analytics.generation_events
    ADD CONSTRAINT generation_events_pkey PRIMARY KEY (hour, event_id);

ALTER TABLE ONLY analytics.generation_metrics_hourly
    ADD CONSTRAINT generation_metrics_hourly_pkey PRIMARY KEY (hour);

ALTER TABLE ONLY analytics.generation_users_hourly
    ADD CONSTRAINT generation_users_hourly_pkey PRIMARY KEY (hour, user_id);

ALTER TABLE ONLY analytics.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY analytics.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY analytics.route_analytics_hourly
    ADD CONSTRAINT route_analytics_hourly_pkey PRIMARY KEY (hour, pattern_id);

ALTER TABLE ONLY analytics.route_analytics
    ADD CONSTRAINT route_analytics_pkey PRIMARY KEY (hour, event_id);

ALTER TABLE ONLY analytics.route_durations_hourly
    ADD CONSTRAINT route_durations_hourly_pkey PRIMARY KEY (hour, pattern_id, bucket);

ALTER TABLE ONLY analytics.route_users_hourly
    ADD CONSTRAINT route_users_hourly_pkey PRIMARY KEY (hour, pattern_id, user_id);

ALTER TABLE ONLY analytics.schema_version
    ADD CONSTRAINT schema_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY analytics.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (projection);

ALTER TABLE ONLY content.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY content.content_items_all
    ADD CONSTRAINT content_items_all_pkey PRIMARY KEY (id, source_type);

ALTER TABLE ONLY content.content_items_auto
    ADD CONSTRAINT content_items_auto_pkey PRIMARY KEY (id, source_type);

ALTER TABLE ONLY content.content_items
    ADD CONSTRAINT content_items_pkey PRIMARY KEY (id, source_type);

ALTER TABLE ONLY content.credentials
    ADD CONSTRAINT credentials_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY content.dead_letters
    ADD CONSTRAINT dead_letters_consumer_stream_sequence_stored_at_key UNIQUE (consumer, stream_sequence, stored_at);

ALTER TABLE ONLY content.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.events
    ADD CONSTRAINT events_id_key UNIQUE (id);

ALTER TABLE ONLY content.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY content.events
    ADD CONSTRAINT events_stream_version_key UNIQUE (stream, version);

ALTER TABLE ONLY content.image_uploads
    ADD CONSTRAINT image_uploads_pkey PRIMARY KEY (sha256, user_id);

ALTER TABLE ONLY content.images
    ADD CONSTRAINT images_pkey PRIMARY KEY (sha256);

ALTER TABLE ONLY content.imports
    ADD CONSTRAINT imports_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY content.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY content.interaction_client_ids
    ADD CONSTRAINT interaction_client_ids_pkey PRIMARY KEY (user_id, client_id);

ALTER TABLE ONLY content.interaction_creators
    ADD CONSTRAINT interaction_creators_pkey PRIMARY KEY (user_id, creator_id);

ALTER TABLE ONLY content.interaction_item_counts
    ADD CONSTRAINT interaction_item_counts_pkey PRIMARY KEY (item_id, facet, value);

ALTER TABLE ONLY content.interaction_items
    ADD CONSTRAINT interaction_items_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY content.interaction_pairs
    ADD CONSTRAINT interaction_pairs_pkey PRIMARY KEY (user_id, item_id);

ALTER TABLE ONLY content.interaction_totals
    ADD CONSTRAINT interaction_totals_pkey PRIMARY KEY (audience, facet, value, stripe);

ALTER TABLE ONLY content.interaction_user_counts
    ADD CONSTRAINT interaction_user_counts_pkey PRIMARY KEY (user_id, facet, value);

ALTER TABLE ONLY content.item_popularity
    ADD CONSTRAINT item_popularity_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY content.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY content.recommendation_items
    ADD CONSTRAINT recommendation_items_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY content.recommendation_totals
    ADD CONSTRAINT recommendation_totals_pkey PRIMARY KEY (facet, value, stripe);

ALTER TABLE ONLY content.recommendation_user_counts
    ADD CONSTRAINT recommendation_user_counts_pkey PRIMARY KEY (user_id, facet, value);

ALTER TABLE ONLY content.recommendations
    ADD CONSTRAINT recommendations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.schema_version
    ADD CONSTRAINT schema_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY content.search_blocks
    ADD CONSTRAINT search_blocks_pkey PRIMARY KEY (block);

ALTER TABLE ONLY content.search_keys
    ADD CONSTRAINT search_keys_key_key UNIQUE (key);

ALTER TABLE ONLY content.search_keys
    ADD CONSTRAINT search_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.search_positions
    ADD CONSTRAINT search_positions_item_id_key UNIQUE (item_id);

ALTER TABLE ONLY content.search_positions
    ADD CONSTRAINT search_positions_pkey PRIMARY KEY (block, "position");

ALTER TABLE ONLY content.search_rows
    ADD CONSTRAINT search_rows_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY content.search_segments
    ADD CONSTRAINT search_segments_pkey PRIMARY KEY (key, block);

ALTER TABLE ONLY content.search_tail
    ADD CONSTRAINT search_tail_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY content.search_word_revision
    ADD CONSTRAINT search_word_revision_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.tag_aliases
    ADD CONSTRAINT tag_aliases_pkey PRIMARY KEY (alias_id);

ALTER TABLE ONLY content.tag_cardinality_stats
    ADD CONSTRAINT tag_cardinality_stats_pkey PRIMARY KEY (tag_id, content_source);

ALTER TABLE ONLY content.tag_closure
    ADD CONSTRAINT tag_closure_pkey PRIMARY KEY (ancestor_id, descendant_id);

ALTER TABLE ONLY content.tag_favorites
    ADD CONSTRAINT tag_favorites_pkey PRIMARY KEY (user_id, tag_id);

ALTER TABLE ONLY content.tag_implications
    ADD CONSTRAINT tag_implications_pkey PRIMARY KEY (tag_id, implied_id);

ALTER TABLE ONLY content.tag_parents
    ADD CONSTRAINT tag_parents_pkey PRIMARY KEY (tag_id, parent_id);

ALTER TABLE ONLY content.tag_rating_totals
    ADD CONSTRAINT tag_rating_totals_pkey PRIMARY KEY (tag_id);

ALTER TABLE ONLY content.tag_ratings
    ADD CONSTRAINT tag_ratings_pkey PRIMARY KEY (user_id, tag_id);

ALTER TABLE ONLY content.tag_word_revisions
    ADD CONSTRAINT tag_word_revisions_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY content.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.tags
    ADD CONSTRAINT tags_slug_key UNIQUE (slug);

ALTER TABLE ONLY content.user_interactions
    ADD CONSTRAINT user_interactions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.user_job_counts
    ADD CONSTRAINT user_job_counts_pkey PRIMARY KEY (user_id, is_private);

ALTER TABLE ONLY content.user_jobs
    ADD CONSTRAINT user_jobs_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY content.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (projection);

ALTER TABLE ONLY generation.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY generation.dead_letters
    ADD CONSTRAINT dead_letters_consumer_stream_sequence_stored_at_key UNIQUE (consumer, stream_sequence, stored_at);

ALTER TABLE ONLY generation.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY generation.driven_servers
    ADD CONSTRAINT driven_servers_pkey PRIMARY KEY (driver, name);

ALTER TABLE ONLY generation.events
    ADD CONSTRAINT events_id_key UNIQUE (id);

ALTER TABLE ONLY generation.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY generation.events
    ADD CONSTRAINT events_stream_version_key UNIQUE (stream, version);

ALTER TABLE ONLY generation.generation_jobs
    ADD CONSTRAINT generation_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY generation.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY generation.item_arrivals
    ADD CONSTRAINT item_arrivals_pkey PRIMARY KEY (job_id, image_index);

ALTER TABLE ONLY generation.job_leases
    ADD CONSTRAINT job_leases_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY generation.known_users
    ADD CONSTRAINT known_users_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY generation.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY generation.schema_version
    ADD CONSTRAINT schema_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY generation.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (projection);

ALTER TABLE ONLY notifications.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY notifications.dead_letters
    ADD CONSTRAINT dead_letters_consumer_stream_sequence_stored_at_key UNIQUE (consumer, stream_sequence, stored_at);

ALTER TABLE ONLY notifications.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY notifications.events
    ADD CONSTRAINT events_id_key UNIQUE (id);

ALTER TABLE ONLY notifications.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY notifications.events
    ADD CONSTRAINT events_stream_version_key UNIQUE (stream, version);

ALTER TABLE ONLY notifications.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY notifications.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY notifications.recipients
    ADD CONSTRAINT recipients_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY notifications.schema_version
    ADD CONSTRAINT schema_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY notifications.user_notifications
    ADD CONSTRAINT user_notifications_cause_key UNIQUE (cause);

ALTER TABLE ONLY notifications.user_notifications
    ADD CONSTRAINT user_notifications_pkey PRIMARY KEY (id);

ALTER TABLE ONLY notifications.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (projection);

CREATE INDEX inbox_handled_at_idx ON analytics.inbox USING brin (handled_at);

CREATE INDEX route_analytics_hourly_route_idx ON analytics.route_analytics_hourly USING btree (route, hour);

CREATE UNIQUE INDEX content_items_all_job_image_key ON ONLY content.content_items_all USING btree (job_id, image_index, source_type);

CREATE INDEX idx_content_items_all_image ON ONLY content.content_items_all USING btree (image_sha256);

CREATE INDEX content_items_auto_image_sha256_idx ON content.content_items_auto USING btree (image_sha256);

CREATE UNIQUE INDEX content_items_auto_job_id_image_index_source_type_idx ON content.content_items_auto USING btree (job_id, image_index, source_type);

CREATE INDEX content_items_image_sha256_idx ON content.content_items USING btree (image_sha256);

CREATE UNIQUE INDEX content_items_job_id_image_index_source_type_idx ON content.content_items USING btree (job_id, image_index, source_type);

CREATE INDEX idx_content_items_all_created_id ON ONLY content.content_items_all USING btree (created_at, id);

CREATE INDEX idx_content_items_all_creator_created ON ONLY content.content_items_all USING btree (creator_id, created_at, id);

CREATE INDEX idx_content_items_all_public_created ON ONLY content.content_items_all USING btree (created_at, id) WHERE (NOT is_private);

CREATE INDEX idx_content_items_all_quality_id ON ONLY content.content_items_all USING btree (quality_score, id);

CREATE INDEX idx_content_items_all_title_id ON ONLY content.content_items_all USING btree (title, id);

CREATE INDEX idx_content_items_all_type_created ON ONLY content.content_items_all USING btree (content_type, created_at, id);

CREATE INDEX idx_content_items_all_updated_id ON ONLY content.content_items_all USING btree (updated_at, id);

CREATE INDEX idx_content_items_auto_created_id_desc ON content.content_items_auto USING btree (created_at, id);

CREATE INDEX idx_content_items_auto_creator_created ON content.content_items_auto USING btree (creator_id, created_at, id);

CREATE INDEX idx_content_items_auto_public_created ON content.content_items_auto USING btree (created_at, id) WHERE (NOT is_private);

CREATE INDEX idx_content_items_auto_quality_id ON content.content_items_auto USING btree (quality_score, id);

CREATE INDEX idx_content_items_auto_title_id ON content.content_items_auto USING btree (title, id);

CREATE INDEX idx_content_items_auto_type_created ON content.content_items_auto USING btree (content_type, created_at, id);

CREATE INDEX idx_content_items_auto_updated_id ON content.content_items_auto USING btree (updated_at, id);

CREATE INDEX idx_content_items_created_id_desc ON content.content_items USING btree (created_at, id);

CREATE INDEX idx_content_items_creator_created ON content.content_items USING btree (creator_id, created_at, id);

CREATE INDEX idx_content_items_public_created ON content.content_items USING btree (created_at, id) WHERE (NOT is_private);

CREATE INDEX idx_content_items_quality_id ON content.content_items USING btree (quality_score, id);

CREATE INDEX idx_content_items_title_id ON content.content_items USING btree (title, id);

CREATE INDEX idx_content_items_type_created ON content.content_items USING btree (content_type, created_at, id);

CREATE INDEX idx_content_items_updated_id ON content.content_items USING btree (updated_at, id);

CREATE INDEX idx_recommendations_served_created ON content.recommendations USING btree (shown, created_at, id);

CREATE INDEX idx_recommendations_unserved ON content.recommendations USING btree (user_id) WHERE (served_at IS NULL);

CREATE INDEX idx_recommendations_user_score ON content.recommendations USING btree (user_id, recommendation_score, id);

CREATE INDEX idx_search_rows_created ON content.search_rows USING btree (created_at, item_id);

CREATE INDEX idx_search_rows_keys ON content.search_rows USING gin (keys);

CREATE INDEX idx_search_segments_block ON content.search_segments USING btree (block);

CREATE INDEX idx_user_interactions_content_created ON content.user_interactions USING btree (content_item_id, created_at DESC, id DESC) INCLUDE (user_id, interaction_type, rating);

CREATE INDEX idx_user_interactions_user_created ON content.user_interactions USING btree (user_id, created_at DESC, id DESC) INCLUDE (content_item_id, interaction_type, rating);

CREATE INDEX inbox_handled_at_idx ON content.inbox USING brin (handled_at);

CREATE INDEX ix_content_all_metadata_gin ON ONLY content.content_items_all USING gin (item_metadata);

CREATE INDEX ix_content_auto_metadata_gin ON content.content_items_auto USING gin (item_metadata);

CREATE INDEX ix_content_metadata_gin ON content.content_items USING gin (item_metadata);

CREATE INDEX ix_images_retired ON content.images USING btree (retired_at, sha256) WHERE (retired_at IS NOT NULL);

CREATE INDEX ix_images_unused ON content.images USING btree (last_used_at, sha256) WHERE ((shown_by = 0) AND (retired_at IS NULL));

CREATE INDEX ix_interaction_creators_shown ON content.interaction_creators USING btree (user_id, shown, creator_id);

CREATE INDEX ix_interaction_creators_total ON content.interaction_creators USING btree (user_id, total, creator_id);

CREATE INDEX ix_interaction_pairs_shown ON content.interaction_pairs USING btree (user_id, shown, item_id);

CREATE INDEX ix_interaction_pairs_total ON content.interaction_pairs USING btree (user_id, total, item_id);

CREATE INDEX ix_item_popularity ON content.item_popularity USING btree (popularity DESC, item_id DESC);

CREATE INDEX ix_recommendations_algorithm_created ON content.recommendations USING btree (algorithm, shown, created_at, id);

CREATE INDEX ix_recommendations_algorithm_score ON content.recommendations USING btree (algorithm, shown, recommendation_score, id);

CREATE INDEX ix_recommendations_algorithm_served ON content.recommendations USING btree (algorithm, shown, served_at, id);

CREATE INDEX ix_recommendations_content_item_id ON content.recommendations USING btree (content_item_id);

CREATE INDEX ix_recommendations_recommendation_score ON content.recommendations USING btree (shown, recommendation_score, id);

CREATE INDEX ix_recommendations_served_at ON content.recommendations USING btree (shown, served_at, id);

CREATE INDEX ix_recommendations_unwanted ON content.recommendations USING btree (user_id, content_item_id) WHERE (feedback = ANY (ARRAY['dislike'::text, 'not_interested'::text]));

CREATE INDEX ix_recommendations_user_id ON content.recommendations USING btree (user_id, created_at, id);

CREATE INDEX ix_recommendations_user_served ON content.recommendations USING btree (user_id, served_at, id);

CREATE INDEX ix_tag_aliases_tag_id ON content.tag_aliases USING btree (tag_id);

CREATE INDEX ix_tag_cardinality_stats_source ON content.tag_cardinality_stats USING btree (content_source, cardinality DESC);

CREATE INDEX ix_tag_closure_descendant ON content.tag_closure USING btree (descendant_id, ancestor_id);

CREATE INDEX ix_tag_parents_parent_id ON content.tag_parents USING btree (parent_id);

CREATE INDEX ix_tags_lower_name ON content.tags USING btree (lower(name));

CREATE INDEX ix_tags_name ON content.tags USING btree (name, id);

CREATE INDEX ix_user_interactions_content_duration ON content.user_interactions USING btree (content_item_id, duration, id);

CREATE INDEX ix_user_interactions_content_item_id ON content.user_interactions USING btree (content_item_id, rating, id);

CREATE INDEX ix_user_interactions_created_at ON content.user_interactions USING btree (audience, created_at, id);

CREATE INDEX ix_user_interactions_interaction_type ON content.user_interactions USING btree (interaction_type, audience, created_at, id);

CREATE INDEX ix_user_interactions_rating ON content.user_interactions USING btree (audience, rating, id) WHERE (rating > 0);

CREATE INDEX ix_user_interactions_type_duration ON content.user_interactions USING btree (interaction_type, audience, duration, id);

CREATE INDEX ix_user_interactions_type_rating ON content.user_interactions USING btree (interaction_type, audience, rating, id);

CREATE INDEX ix_user_interactions_user_duration ON content.user_interactions USING btree (user_id, duration, id);

CREATE INDEX ix_user_interactions_user_id ON content.user_interactions USING btree (user_id, rating, id);

CREATE INDEX ix_users_created_id ON content.users USING btree (created_at, id);

CREATE UNIQUE INDEX ix_users_email ON content.users USING btree (email);

CREATE INDEX ix_users_grams ON content.users USING gin (content.grams(lower(username)), content.grams(email)) WITH (fastupdate=off);

CREATE INDEX ix_users_is_active ON content.users USING btree (is_active);

CREATE INDEX ix_users_preferences_gin ON content.users USING gin (preferences);

CREATE INDEX ix_users_updated_id ON content.users USING btree (updated_at, id);

CREATE UNIQUE INDEX ix_users_username ON content.users USING btree (lower(username));

CREATE INDEX ix_users_username_id ON content.users USING btree (username, id);

CREATE INDEX idx_generation_jobs_status_created ON generation.generation_jobs USING btree (status, created_at, id);

CREATE INDEX idx_generation_jobs_type_created ON generation.generation_jobs USING btree (job_type, created_at, id);

CREATE INDEX idx_generation_jobs_user_created ON generation.generation_jobs USING btree (user_id, created_at, id);

CREATE INDEX inbox_handled_at_idx ON generation.inbox USING brin (handled_at);

CREATE INDEX ix_generation_jobs_active ON generation.generation_jobs USING btree (updated_at) WHERE (status = ANY (ARRAY['pending'::text, 'running'::text]));

CREATE UNIQUE INDEX ix_generation_jobs_comfyui_prompt_id ON generation.generation_jobs USING btree (comfyui_prompt_id);

CREATE INDEX ix_generation_jobs_created_at ON generation.generation_jobs USING btree (created_at, id);

CREATE UNIQUE INDEX ix_generation_jobs_dispatch_id ON generation.generation_jobs USING btree (dispatch_id);

CREATE INDEX inbox_handled_at_idx ON notifications.inbox USING brin (handled_at);

CREATE INDEX user_notifications_newest_idx ON notifications.user_notifications USING btree (user_id, created_at, id);

CREATE INDEX user_notifications_unread_idx ON notifications.user_notifications USING btree (user_id, id) WHERE (NOT read_status);

ALTER INDEX content.idx_content_items_all_image ATTACH PARTITION content.content_items_auto_image_sha256_idx;

ALTER INDEX content.content_items_all_job_image_key ATTACH PARTITION content.content_items_auto_job_id_image_index_source_type_idx;

ALTER INDEX content.content_items_all_pkey ATTACH PARTITION content.content_items_auto_pkey;

ALTER INDEX content.idx_content_items_all_image ATTACH PARTITION content.content_items_image_sha256_idx;

ALTER INDEX content.content_items_all_job_image_key ATTACH PARTITION content.content_items_job_id_image_index_source_type_idx;

ALTER INDEX content.content_items_all_pkey ATTACH PARTITION content.content_items_pkey;

ALTER INDEX content.idx_content_items_all_created_id ATTACH PARTITION content.idx_content_items_auto_created_id_desc;

ALTER INDEX content.idx_content_items_all_creator_created ATTACH PARTITION content.idx_content_items_auto_creator_created;

ALTER INDEX content.idx_content_items_all_public_created ATTACH PARTITION content.idx_content_items_auto_public_created;

ALTER INDEX content.idx_content_items_all_quality_id ATTACH PARTITION content.idx_content_items_auto_quality_id;

ALTER INDEX content.idx_content_items_all_title_id ATTACH PARTITION content.idx_content_items_auto_title_id;

ALTER INDEX content.idx_content_items_all_type_created ATTACH PARTITION content.idx_content_items_auto_type_created;

ALTER INDEX content.idx_content_items_all_updated_id ATTACH PARTITION content.idx_content_items_auto_updated_id;

ALTER INDEX content.idx_content_items_all_created_id ATTACH PARTITION content.idx_content_items_created_id_desc;

ALTER INDEX content.idx_content_items_all_creator_created ATTACH PARTITION content.idx_content_items_creator_created;

ALTER INDEX content.idx_content_items_all_public_created ATTACH PARTITION content.idx_content_items_public_created;

ALTER INDEX content.idx_content_items_all_quality_id ATTACH PARTITION content.idx_content_items_quality_id;

ALTER INDEX content.idx_content_items_all_title_id ATTACH PARTITION content.idx_content_items_title_id;

ALTER INDEX content.idx_content_items_all_type_created ATTACH PARTITION content.idx_content_items_type_created;

ALTER INDEX content.idx_content_items_all_updated_id ATTACH PARTITION content.idx_content_items_updated_id;

ALTER INDEX content.ix_content_all_metadata_gin ATTACH PARTITION content.ix_content_auto_metadata_gin;

ALTER INDEX content.ix_content_all_metadata_gin ATTACH PARTITION content.ix_content_metadata_gin;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON analytics.events FOR EACH ROW EXECUTE FUNCTION analytics.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON content.events FOR EACH ROW EXECUTE FUNCTION content.refuse_change();

CREATE TRIGGER prompt_is_immutable BEFORE UPDATE ON content.content_items_all FOR EACH ROW WHEN (((old.prompt)::text IS DISTINCT FROM (new.prompt)::text)) EXECUTE FUNCTION content.refuse_new_prompt();

CREATE TRIGGER search_rows_deleted AFTER DELETE ON content.search_rows REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION content.search_rows_deleted();

CREATE TRIGGER search_rows_inserted AFTER INSERT ON content.search_rows REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION content.search_rows_inserted();

CREATE TRIGGER search_rows_updated AFTER UPDATE ON content.search_rows REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION content.search_rows_updated();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON generation.events FOR EACH ROW EXECUTE FUNCTION generation.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON notifications.events FOR EACH ROW EXECUTE FUNCTION notifications.refuse_change();

ALTER TABLE ONLY analytics.outbox
    ADD CONSTRAINT outbox_event_id_fkey FOREIGN KEY (event_id) REFERENCES analytics.events(id);

ALTER TABLE ONLY content.outbox
    ADD CONSTRAINT outbox_event_id_fkey FOREIGN KEY (event_id) REFERENCES content.events(id);

ALTER TABLE ONLY generation.outbox
    ADD CONSTRAINT outbox_event_id_fkey FOREIGN KEY (event_id) REFERENCES generation.events(id);

ALTER TABLE ONLY notifications.outbox
    ADD CONSTRAINT outbox_event_id_fkey FOREIGN KEY (event_id) REFERENCES notifications.events(id);
